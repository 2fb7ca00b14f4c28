"""A kernel is its owner's: what others ask of it is refused like what they ask of none, and none remembers another."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
from dashboards.house import ADMIN, PREFIX, STRANGER, House, Opened, environment_of, free_ports, wait_for
from websockets.exceptions import InvalidStatus

from agent_analytics.scope import Principal
from agent_analytics.serving import tokens

VISITOR = Principal("ORG_ADMIN", "globex", "canary-of-visitor-one", name="canary-of-visitor-one")
COLLEAGUE = Principal("ORG_ADMIN", "acme", "cy", name="Cy")
OTHERS = {"another organization": STRANGER, "the same organization": COLLEAGUE}


@pytest.fixture(scope="module")
def stock(scratch: Path) -> Iterator[House]:
    """The same service with Voilà's own handlers and authorizer in place of ours."""
    home = scratch / "stock"
    home.mkdir()
    house = House(home, "postgresql://nowhere.invalid/none", free_ports(7), options={"stock": True})
    house.start_service()
    yield house
    house.stop_all()


def reach(house: House, other: Principal, *victims: Opened) -> list[dict[str, int]]:
    """What somebody else is answered who knows a kernel's id and has a token of their own page."""
    with house.client(other) as client:
        own = house.open(client)
        found = [asked(Opened(client, victim.path, victim.kernel, own.token, {})) for victim in victims]
        own.ask("DELETE")
    return found


def asked(reaching: Opened) -> dict[str, int]:
    return {
        "websocket": handshake(reaching),
        "GET": reaching.ask("GET"),
        "shutdown": reaching.ask("POST", f"voila/api/shutdown/{reaching.kernel}"),
        "DELETE": reaching.ask("DELETE"),
    }


def handshake(reaching: Opened) -> int:
    try:
        reaching.websocket().close()
    except InvalidStatus as refused:
        return refused.response.status_code
    return 101


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_whoever_is_not_its_owner_is_refused_as_if_there_were_none(
    house: House, opened: Opened, other: Principal
) -> None:
    missing = Opened(opened.client, f"api/kernels/{uuid4()}", str(uuid4()), "", {})
    refused = {"websocket": 403, "GET": 403, "DELETE": 403, "shutdown": 405}
    assert reach(house, other, opened, missing) == [refused, refused]
    assert opened.ask("GET") == 200


def test_stock_voila_lets_anybody_in(stock: House) -> None:
    """So these tests would notice."""
    with stock.client(ADMIN) as client:
        (found,) = reach(stock, STRANGER, stock.open(client))
    assert found == {"websocket": 101, "GET": 200, "shutdown": 204, "DELETE": 404}


def test_refusals_of_anothers_and_of_a_missing_kernel_are_the_same(house: House, opened: Opened) -> None:
    with house.client(STRANGER) as client:
        own = house.open(client)
        for method in ("GET", "DELETE"):
            replies = [
                client.request(method, f"api/kernels/{kernel}", headers={"X-XSRFToken": own.token})
                for kernel in (opened.kernel, str(uuid4()))
            ]
            assert len({reply.status_code for reply in replies}) == 1
            assert len({str({**reply.json(), "reference": ""}) for reply in replies}) == 1
            assert len({tuple(sorted(set(reply.headers) - {"date"})) for reply in replies}) == 1
        own.ask("DELETE")


def test_nothing_of_one_visitor_is_in_anothers_page_kernel_or_widgets(house: House) -> None:
    """One after the other in the same service, and at the same time."""
    with house.client(VISITOR) as first, house.client(ADMIN) as second:
        first.get("organization?q=canary-of-the-query", headers={"X-Canary": "canary-of-the-header"})
        theirs, mine = house.open(first), house.open(second)
        secret = (house.home / "kernels" / theirs.kernel / "token").read_text()
        foreign = ("globex", "canary-of", theirs.kernel, theirs.token, secret)
        (pid,) = [pid for pid in house.kernel_processes() if mine.kernel in environment_of(pid)["HOME"]]
        seen = [json.dumps(mine.states), second.get("organization").text, json.dumps(environment_of(pid)), memory(pid)]
        assert [word for word in foreign if any(word in text for text in seen)] == []
        assert "You see all of acme" in seen[0]
        assert mine.kernel in seen[3] or os.geteuid() != 0
        for page in (theirs, mine):
            assert page.ask("DELETE") == 204


def memory(pid: int) -> str:
    """What a process has written into its memory, as far as root may look."""
    if os.geteuid() != 0:
        return ""
    found = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            start, end = (int(edge, 16) for edge in line.split()[0].split("-"))
            if line.split()[1].startswith("rw"):
                file.seek(start)
                with suppress(OSError):
                    found.append(file.read(end - start))
    return b"".join(found).decode("latin-1")


def test_a_kernels_token_speaks_for_its_owner_alone(house: House, opened: Opened) -> None:
    token = (house.home / "kernels" / opened.kernel / "token").read_text()
    assert tokens.verify(house.home, token, datetime.now(UTC)).principal == ADMIN


FORGED = {
    "X-Forwarded-User": "ada",
    "X-Remote-User": "ada",
    "Remote-User": "ada",
    "X-JupyterHub-User": "ada",
    "X-Test-User": "ada",
    "X-Forwarded-For": "127.0.0.1",
    "X-Scheme": "https",
    "Authorization": "token anything",
    "Cookie": "who=ada; service-dashboards=ada; jupyterhub-session-id=ada; username-localhost=ada",
}


@pytest.mark.parametrize("name", [*FORGED, "all of them"])
def test_headers_that_name_somebody_make_nobody(house: House, opened: Opened, name: str) -> None:
    headers = FORGED if name == "all of them" else {name: FORGED[name]}
    before = house.kernels()
    page = httpx2.get(house.url("organization"), headers=headers)
    assert (page.status_code, page.headers["Location"].partition("?")[0]) == (302, f"{PREFIX}login")
    for query in ("token=x", "user=ada", "as=ada", "access_token=x"):
        assert httpx2.get(house.url(f"organization?{query}"), headers=headers).status_code == 302
    assert httpx2.get(house.url(opened.path), headers=headers).status_code == 403
    assert house.kernels() == before


def test_what_stock_voila_would_take_from_the_address_changes_nothing(house: House) -> None:
    before = house.kernels()
    with house.client(ADMIN) as client:
        pages = [client.get(f"organization{more}") for more in ("", "?template=../../lab&theme=dark&voila-theme=x")]
        assert len(house.kernels()) == len(before) + 2
        for page in pages:
            state = json.loads(page.text.partition('type="application/json">')[2].partition("</script>")[0])
            client.delete(f"api/kernels/{state['kernel']}", headers={"X-XSRFToken": state["token"]})
    heads = [page.text.partition("<main")[0] for page in pages]
    assert heads[0] == heads[1]


def test_a_kernel_ends_with_its_service_however_that_ends(stock: House) -> None:
    with stock.client(ADMIN) as client:
        left = stock.open(client)
        (pid,) = [pid for pid in stock.kernel_processes() if left.kernel in environment_of(pid)["HOME"]]
    stock.running["service"].kill()
    stock.running["service"].wait()
    stock.start_service()
    wait_for(lambda: not os.path.exists(f"/proc/{pid}/cmdline") or not Path(f"/proc/{pid}/cmdline").read_bytes())
    assert stock.kernels() == []
