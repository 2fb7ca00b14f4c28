"""Places are few, and one person cannot take those of the others."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from dashboards.house import ADMIN, STRANGER, House, free_ports, wait_for

from agent_analytics.scope import Principal

OPENS, AT_ONCE = 500, 16
PER_PERSON, IN_ALL = 2, 3
GREEDY = Principal("ORG_ADMIN", "acme", "greedy", name="Greedy")


@pytest.fixture(scope="module")
def small(scratch: Path) -> Iterator[House]:
    """A service with few places, in which a page must connect within two seconds."""
    home = scratch / "small"
    home.mkdir()
    options = {"unmet": 2, "kernels_per_person": PER_PERSON, "kernels": IN_ALL}
    house = House(home, "postgresql://nowhere.invalid/none", free_ports(7), options=options)
    house.start_service()
    yield house
    house.stop_all()


def test_five_hundred_pages_without_scripts_take_one_persons_places_alone(small: House) -> None:
    with small.client(GREEDY) as greedy, small.client(ADMIN) as other, ThreadPoolExecutor(AT_ONCE) as threads:
        most = 0

        def opens(_: int) -> httpx2.Response:
            nonlocal most
            reply = greedy.get("organization", headers={"Accept": "text/html"})
            most = max(most, len(small.kernels()))
            return reply

        replies = threads.map(opens, range(OPENS))
        page = small.open(other)
        with page.websocket():
            found = list(replies)
            counted = Counter(reply.status_code for reply in found)
            assert set(counted) == {200, 503}
            assert counted.total() == OPENS
            assert counted[200] < OPENS / 10
            assert most <= PER_PERSON + 1
            busy = [reply for reply in found if reply.status_code == 503]
            assert all("Too many pages are open" in reply.text and int(reply.headers["Retry-After"]) for reply in busy)
            wait_for(lambda: [home.name for home in small.kernels()] == [page.kernel])
        assert page.ask("DELETE") == 204


def test_when_all_places_are_taken_everybody_is_told_until_one_is_free(small: House) -> None:
    wait_for(lambda: small.kernels() == [])
    with small.client(GREEDY) as greedy, small.client(ADMIN) as other, small.client(STRANGER) as late:
        held, sockets = [], []
        for client in (greedy, greedy, other):
            held.append(small.open(client))
            sockets.append(held[-1].websocket())
        assert late.get("organization").status_code == 503
        assert len(small.kernels()) == IN_ALL
        sockets[0].close()
        assert held[0].ask("DELETE") == 204
        page = small.open(late)
        assert {one.ask("DELETE") for one in (page, *held[1:])} == {204}
        for socket in sockets[1:]:
            socket.close()
