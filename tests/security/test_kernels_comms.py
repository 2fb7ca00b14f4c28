"""What a browser may say to its kernel: a choice among what is offered, and nothing that makes, runs, or reveals."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from dashboards.house import ADMIN, House, Opened, environment_of
from security.comms import answered, message, states, update
from security.inside import inside, run
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from agent_analytics.serving.sockets import CONTROL, INCOMING, MESSAGE_BYTES, MOST_SOCKETS, WRITABLE, known

# Every widget trait that a browser can change, by its model. To add one, say here why it holds no right:
# index: which of the offered periods is shown.
CHANGEABLE = {("ToggleButtonsModel", "index")}


def test_a_browser_can_change_these_traits_and_no_others(opened: Opened) -> None:
    with opened.websocket() as socket:
        before = states(socket)
        for widget, model in before.items():
            for name, value in model["state"].items():
                socket.send(json.dumps(update(widget, **{name: another(value)})))
        answered(socket)
        after = states(socket)
    changed = {
        (model["model_name"], name)
        for widget, model in after.items()
        for name, value in model["state"].items()
        if before[widget]["state"][name] != value and model["model_name"] != "AnyModel"
    }
    assert changed == CHANGEABLE
    assert {name for _, name in CHANGEABLE} == set(WRITABLE)
    assert not {"html", "specification", "_esm"} & {name for _, name in changed}


def another(value: Any) -> Any:
    """A different value of the same kind."""
    match value:
        case bool():
            return not value
        case int() | float():
            return 0 if value else 1
        case str():
            return value + "x"
        case list():
            return [*value, "x"]
        case dict():
            return {**value, "x": 1}
    return "x"


def test_no_trait_holds_a_right(opened: Opened) -> None:
    """Who asks, for what organization and in which role, is in the token alone."""
    for state in opened.states.values():
        for name, value in state.items():
            assert not {"organization", "role", "sql", "token", "scope", "principal"} & set(name.lower().split("_"))
            if name != "html":
                assert "select " not in json.dumps(value).lower()


def test_the_panels_stay_as_the_kernel_painted_them(opened: Opened) -> None:
    panels = [widget for widget, state in opened.states.items() if "specification" in state]
    assert panels
    with opened.websocket() as socket:
        before = states(socket)
        for panel in panels:
            socket.send(json.dumps(update(panel, html="<b>mine</b>", specification={"x": 1}, sequence=99)))
        answered(socket)
        after = states(socket)
    assert [before[panel] for panel in panels] == [after[panel] for panel in panels]


def test_inside_the_kernel_too_a_browser_opens_no_widgets(house: House, opened: Opened) -> None:
    """As if the service's own check were not there: sent to the kernel itself."""
    made = "import ipywidgets\nfound = len(ipywidgets.widgets.widget._instances)"
    image = {
        "_model_module": "@jupyter-widgets/controls",
        "_model_module_version": "2.0.0",
        "_model_name": "FileUploadModel",
    }
    image |= {"_view_module": image["_model_module"], "_view_module_version": "2.0.0", "_view_name": "FileUploadView"}
    with inside(house, opened) as kernel:
        before = run(kernel, made)
        for target in ("jupyter.widget", "nothing", None):
            content = {"comm_id": uuid4().hex, "target_name": target, "data": {"state": image}}
            asked = kernel.session.msg("comm_open", content, metadata={"version": "2.1.0"})
            kernel.shell_channel.send(asked)
        assert run(kernel, made) == before
        targets = run(kernel, "import comm\nfound = sorted(comm.get_comm_manager().targets)")
        assert targets == ["jupyter.widget", CONTROL]
        opened_ones = run(
            kernel, "import comm\nfound = [c.target_name for c in comm.get_comm_manager().comms.values()]"
        )
    assert set(opened_ones) <= {"jupyter.widget", CONTROL}


@pytest.mark.parametrize(
    "kind", ["execute_request", "comm_close", "shutdown_request", "kernel_info_request", "is_complete_request"]
)
def test_what_no_page_sends_is_dropped(kind: str) -> None:
    content = {"comm_id": "a", "code": "1", "target_name": CONTROL, "data": {"method": "request_states"}}
    assert kind not in INCOMING
    assert known(json.dumps(message(kind, content))) is None


def test_what_a_page_sends_goes_on_without_what_was_added() -> None:
    sent = message("comm_msg", {"comm_id": "a", "data": {"method": "update", "state": {"index": 1}}, "more": 1}, x=1)
    made = known(json.dumps(sent))
    assert made
    assert made["content"] == {"comm_id": "a", "data": {"method": "update", "state": {"index": 1}, "buffer_paths": []}}
    assert made.keys() == {"channel", "header", "parent_header", "metadata", "content"}
    assert made["header"]["msg_id"] == sent["header"]["msg_id"]


def test_a_message_beyond_all_measure_costs_its_connection_alone(opened: Opened) -> None:
    with opened.websocket() as socket:
        socket.send("x" * (MESSAGE_BYTES + 1))
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=20)
    assert opened.ask("GET") == 200


@pytest.fixture
def crowd(opened: Opened) -> Iterator[list[ClientConnection]]:
    sockets = [opened.websocket(f"{opened.path}") for _ in range(MOST_SOCKETS)]
    yield sockets
    for socket in sockets:
        socket.close()


def test_a_kernel_has_so_many_connections_and_no_more(opened: Opened, crowd: list[ClientConnection]) -> None:
    with pytest.raises(InvalidStatus) as refused:
        opened.websocket()
    assert refused.value.response.status_code == 503
    crowd[0].close()
    with opened.websocket() as socket:
        assert answered(socket)


def test_a_kernel_that_is_gone_is_replaced_by_opening_the_page_again(house: House) -> None:
    with house.client(ADMIN) as client:
        gone = house.open(client)
        (pid,) = [pid for pid in house.kernel_processes() if gone.kernel in environment_of(pid)["HOME"]]
        assert gone.ask("DELETE") == 204
        assert gone.ask("GET") == 403
        again = house.open(client)
        assert again.kernel != gone.kernel
        assert pid not in house.kernel_processes()
        assert again.ask("DELETE") == 204
