"""A kernel belongs to whoever opened its page, knows nothing else, and ends with it."""

import json
import os
import random
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from dashboards.conftest import marked, wait
from dashboards.house import ADMIN, MEMBER, STRANGER, House, Opened, environment_of, wait_for
from playwright.sync_api import Page, expect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from agent_analytics.scope import Principal
from agent_analytics.serving import kernels
from agent_analytics.settings import Settings

PROMOTED = Principal("ORG_ADMIN", "acme", "ada", teams=("Search",), name="Ada Lovelace")


@pytest.fixture(scope="module")
def opened(house: House) -> Iterator[Opened]:
    with house.client(ADMIN) as client:
        opened = house.open(client)
        yield opened
        opened.ask("DELETE")


@pytest.mark.parametrize("other", [STRANGER, MEMBER, PROMOTED, None], ids=["stranger", "member", "same-name", "nobody"])
def test_nobody_reaches_anothers_kernel(house: House, opened: Opened, other: Principal | None) -> None:
    with house.client(other) as client:
        client.get("organization" if other in (STRANGER, PROMOTED) else "")
        reaching = Opened(client, opened.path, opened.kernel, client.cookies.get("_xsrf") or "", {})
        assert reaching.ask("GET") == 403
        assert reaching.ask("DELETE") == 403
        with pytest.raises(InvalidStatus) as refused:
            reaching.websocket()
        assert refused.value.response.status_code == 403
    assert opened.ask("GET") == 200


def test_nobody_without_sign_in_reaches_a_kernel(house: House, opened: Opened) -> None:
    with httpx2.Client(base_url=house.url()) as client:
        reaching = Opened(client, opened.path, opened.kernel, "", {})
        assert {reaching.ask("GET"), reaching.ask("DELETE")} == {403}
        with pytest.raises(InvalidStatus):
            reaching.websocket()


def test_a_missing_kernel_answers_as_anothers(opened: Opened) -> None:
    path = f"api/kernels/{uuid4()}"
    assert (opened.ask("GET", path), opened.ask("DELETE", path)) == (403, 403)


def test_requests_of_other_sites_are_refused(house: House, opened: Opened) -> None:
    assert opened.client.delete(opened.path).status_code == 403
    assert opened.client.delete(opened.path, headers={"X-XSRFToken": "wrong"}).status_code == 403
    with pytest.raises(InvalidStatus):
        opened.websocket(origin="https://evil.example")
    assert opened.ask("GET") == 200


def test_nothing_else_starts_lists_restarts_or_interrupts_a_kernel(opened: Opened) -> None:
    for path in ("api/kernels", f"{opened.path}/restart", f"{opened.path}/interrupt", "voila/api/shutdown/x"):
        assert opened.ask("POST", path) in (404, 405)
    assert opened.ask("GET", "api/kernels") == 404


def test_a_kernel_knows_its_person_and_nothing_of_the_service(house: House, opened: Opened) -> None:
    (home,) = [home for home in house.kernels() if home.name == opened.kernel]
    (pid,) = [pid for pid in house.kernel_processes() if environment_of(pid)["HOME"] == str(home)]
    variables = environment_of(pid)
    ours = {"PATH", "LANG", "HOME", "TMPDIR", "AGENT_ANALYTICS_API_URL", "AGENT_ANALYTICS_TOKEN_FILE"}
    assert variables.keys() - ours <= {"JPY_PARENT_PID", "PYDEVD_USE_FRAME_EVAL", "LC_CTYPE"}
    assert "canary-of-the-environment" not in str(variables)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "token").stat().st_mode) == 0o600
    assert "canary" not in (home / "token").read_text()


def test_the_token_is_renewed(house: House, opened: Opened) -> None:
    token = house.home / "kernels" / opened.kernel / "token"
    before = token.read_text()
    wait_for(lambda: token.read_text() != before)


def test_each_sees_their_own_organization(house: House, opened: Opened) -> None:
    assert "canary-of-globex" not in json.dumps(opened.states)
    with house.client(STRANGER) as client:
        other = house.open(client)
        assert other.ask("DELETE") == 204
    assert "canary-of-globex" in json.dumps(other.states)


def message(kind: str, content: Any, channel: str = "shell") -> str:
    header = {"msg_id": uuid4().hex, "msg_type": kind, "username": "", "session": "s", "version": "5.3", "date": ""}
    parts = {"channel": channel, "header": header, "parent_header": {}, "metadata": {}, "content": content}
    return json.dumps({**parts, "buffers": []})


def received(socket: ClientConnection, kinds: set[str], seconds: float = 20) -> list[dict[str, Any]]:
    """What comes until a message of one of these kinds."""
    found, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        found.append(json.loads(socket.recv(timeout=seconds)))
        if found[-1]["header"]["msg_type"] in kinds:
            return found
    raise AssertionError(f"none of {kinds} in {found}")


FORBIDDEN = [
    message("execute_request", {"code": "open('/tmp/aa-owned', 'w')", "silent": False}),
    message("inspect_request", {"code": "page", "cursor_pos": 1, "detail_level": 1}),
    message("complete_request", {"code": "pa", "cursor_pos": 2}),
    message("history_request", {"output": True, "hist_access_type": "tail", "n": 10}),
    message("kernel_info_request", {}),
    message("shutdown_request", {"restart": False}, "control"),
    message("interrupt_request", {}, "control"),
    message("debug_request", {"type": "request", "command": "initialize"}, "control"),
    message("input_reply", {"value": "x"}, "stdin"),
    message("comm_open", {"comm_id": "a", "target_name": "jupyter.widget", "data": {"state": {"_model_name": "x"}}}),
    message("comm_open", {"comm_id": "b", "target_name": "nothing", "data": {}}),
    message("comm_msg", {"comm_id": "c", "data": {}}, "control"),
]


def test_only_widgets_messages_reach_the_kernel(opened: Opened) -> None:
    with opened.websocket() as socket:
        for text in FORBIDDEN:
            socket.send(text)
        socket.send(message("comm_info_request", {}))
        kinds = {one["header"]["msg_type"] for one in received(socket, {"comm_info_reply"})}
    assert kinds <= {"status", "comm_info_reply"}
    assert not os.path.exists("/tmp/aa-owned")


def test_random_messages_yield_nothing_and_the_kernel_lives(opened: Opened) -> None:
    chance = random.Random(7)
    known = list(opened.states)
    said = ""
    with opened.websocket() as socket:
        for _ in range(500):
            socket.send(nonsense(chance, known))
        socket.send(b"\0\0\0\2 not json")
        socket.send("[" * 1000)
        socket.send(message("comm_info_request", {}))
        said = json.dumps(received(socket, {"comm_info_reply"}))
    for secret in ("Traceback", "/site-packages/", str(opened.client.base_url.port), "canary"):
        assert secret not in said
    assert opened.ask("GET") == 200


def nonsense(chance: random.Random, known: list[str]) -> str:
    data = chance.choice(
        [
            {
                "method": "update",
                "state": {"index": chance.choice([-1, 99, "x", None, 1.5, [], {}])},
                "buffer_paths": [],
            },
            {"method": "update", "state": {"html": "<b>", "specification": {"data": {"url": "/etc/passwd"}}}},
            {"method": "custom", "content": chance.choice([{"event": "nothing"}, None, [], "x", {"event": ["ask"]}])},
            {"method": chance.choice(["request_state", "x", None, 1])},
            chance.choice([None, [], "x", 1]),
        ]
    )
    kind = chance.choice(["comm_msg", "comm_msg", "comm_close", "comm_open", "comm_nothing"])
    target = chance.choice(["jupyter.widget", "jupyter.widget.control", "x"])
    comm = chance.choice(known) if kind == "comm_msg" else uuid4().hex
    return message(kind, chance.choice([{"comm_id": comm, "target_name": target, "data": data}, {}, None, data]))


def test_a_closed_page_ends_its_kernel_at_once(house: House, page: Page) -> None:
    before = {home.name for home in house.kernels()}
    page.goto(house.entrance(ADMIN))
    marked(page, "aa-live")
    (kernel,) = {home.name for home in house.kernels()} - before
    page.close()
    wait(lambda: kernel not in {home.name for home in house.kernels()}, "its directory is still there", 10)
    wait(lambda: kernel not in str([environment_of(pid) for pid in house.kernel_processes()]), "it still runs", 10)


def test_whoever_loses_the_right_loses_the_kernel(house: House, page: Page) -> None:
    page.goto(house.entrance(Principal("ORG_ADMIN", "acme", "leaver")))
    marked(page, "aa-live")
    before = len(house.kernels())
    (house.home / "revoked").write_text("leaver\n")
    try:
        expect(page.get_by_role("button", name="Start again")).to_be_visible(timeout=15_000)
    finally:
        (house.home / "revoked").unlink()
    wait(lambda: len(house.kernels()) == before - 1, "its directory is still there", 10)


def test_a_person_who_opens_too_many_is_told_and_others_are_not_kept_out(house: House, context: Any) -> None:
    with house.client(Principal("ORG_ADMIN", "acme", "collector")) as client, house.client(STRANGER) as other:
        pages = [house.open(client) for _ in range(house.settings.kernels_per_person)]
        refused = client.get("organization", headers={"Accept": "text/html"})
        assert refused.status_code == 503
        assert "Too many pages are open" in refused.text
        assert int(refused.headers["Retry-After"]) > 0
        assert house.open(other).ask("DELETE") == 204
        assert pages[0].ask("DELETE") == 204
        again = house.open(client)
        assert {page.ask("DELETE") for page in (*pages[1:], again)} == {204}


def test_a_reader_who_leaves_before_the_page_is_made_leaves_no_kernel(house: House) -> None:
    before = house.kernels()
    with house.client(ADMIN) as client, client.stream("GET", "organization") as reply:
        assert "<h1" in next(reply.iter_text())
        wait_for(lambda: len(house.kernels()) == len(before) + 1)
    wait_for(lambda: house.kernels() == before)


def test_all_kernels_together_have_a_limit(tmp_path: Path) -> None:
    many = kernels.Kernels()
    many.furnish_for(Settings(home=tmp_path, kernels=7), lambda _: None)
    for number in range(7):
        many.reserve(kernels.Owner(f"person-{number}", ADMIN))
    with pytest.raises(kernels.Busy):
        many.reserve(kernels.Owner("one-more", ADMIN))


def test_nobody_starts_a_kernel_by_jupyters_own_way(tmp_path: Path) -> None:
    many = kernels.Kernels()
    many.furnish_for(Settings(home=tmp_path), lambda _: None)
    with pytest.raises(PermissionError):
        many.start_kernel(kernel_id=str(uuid4())).send(None)


def test_the_end_of_the_service_ends_every_kernel(house: House, opened: Opened) -> None:
    assert opened.ask("GET") == 200
    with opened.websocket() as socket:
        assert house.stop("service") == 0
        try:
            with pytest.raises(ConnectionClosed):
                received(socket, set())
            assert house.kernel_processes() == []
            assert house.kernels() == []
        finally:
            house.start_service()


def test_a_killed_service_leaves_nothing_once_it_is_back(house: House) -> None:
    with house.client(ADMIN) as client:
        left = house.open(client)
    house.running["service"].kill()
    house.running["service"].wait()
    house.start_service()
    wait_for(lambda: house.kernel_processes() == [])
    assert house.kernels() == []
    with house.client(ADMIN) as client:
        assert client.get(left.path).status_code == 403
