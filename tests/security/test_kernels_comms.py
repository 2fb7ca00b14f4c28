"""What a browser may say to its kernel: a choice among what is offered, and nothing that makes, runs, or reveals."""

import json
import math
import random
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from dashboards.house import ADMIN, House, Opened, environment_of
from security.inside import inside, run
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from agent_analytics.serving.sockets import CONTROL, INCOMING, MESSAGE_BYTES, MOST_SOCKETS, WRITABLE, known

MESSAGES = 10_000
# Every widget trait that a browser can change, by its model. To add one, say here why it holds no right:
# index: which of the offered periods is shown.
CHANGEABLE = {("ToggleButtonsModel", "index")}
SECRETS = ("Traceback", "site-packages", "agent_analytics", "/tmp/", "/home/", "canary", "select ", 'File "')


def message(kind: str, content: Any, **more: Any) -> dict[str, Any]:
    header = {"msg_id": uuid4().hex, "msg_type": kind, "username": "", "session": "s", "version": "5.3", "date": ""}
    parts = {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}
    return {**parts, "buffers": [], **more}


def update(widget: str, **state: Any) -> dict[str, Any]:
    return message("comm_msg", {"comm_id": widget, "data": {"method": "update", "state": state, "buffer_paths": []}})


def answered(socket: ClientConnection) -> list[dict[str, Any]]:
    """All that comes until the kernel has answered what was sent before."""
    question = message("comm_info_request", {})
    socket.send(json.dumps(question))
    found: list[dict[str, Any]] = []
    while not found or found[-1].get("parent_header", {}).get("msg_id") != question["header"]["msg_id"]:
        found.append(json.loads(socket.recv(timeout=60)))
    return found


def states(socket: ClientConnection) -> dict[str, dict[str, Any]]:
    """Every widget as its kernel has it."""
    comm = uuid4().hex
    socket.send(json.dumps(message("comm_open", {"comm_id": comm, "target_name": CONTROL, "data": {}})))
    socket.send(json.dumps(message("comm_msg", {"comm_id": comm, "data": {"method": "request_states"}})))
    for _ in range(200):
        said = json.loads(socket.recv(timeout=60))
        if said["content"].get("comm_id") == comm and "states" in said["content"].get("data", {}):
            return said["content"]["data"]["states"]
    raise AssertionError("no states")


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


def test_ten_thousand_random_messages_yield_nothing(house: House, opened: Opened) -> None:
    chance, widgets = random.Random(20), list(opened.states)
    left, said = MESSAGES, []
    while left:
        with opened.websocket() as socket:
            try:
                for _ in range(min(left, 500)):
                    socket.send(nonsense(chance, widgets))
                    left -= 1
                said += answered(socket)
            except ConnectionClosed as closed:
                said.append({"closed": str(closed)})
    text = json.dumps([one for one in said if not is_painting(one)])
    assert [secret for secret in SECRETS if secret in text] == []
    assert "canary-of-globex" not in json.dumps(said)
    assert {one.get("header", {}).get("msg_type", "closed") for one in said} <= {
        "status",
        "comm_info_reply",
        "comm_msg",
        "comm_close",
        "closed",
    }
    assert opened.ask("GET") == 200
    with opened.websocket() as socket:
        assert len(states(socket)) == len(opened.states)


def is_painting(one: dict[str, Any]) -> bool:
    """A panel's own update: names that were chosen to mean harm, as text."""
    return one.get("header", {}).get("msg_type") == "comm_msg" and "html" in str(one["content"])


def nonsense(chance: random.Random, widgets: list[str]) -> str | bytes:
    """Any message: mostly nearly right, sometimes no message at all."""
    if chance.random() < 0.1:
        return chance.choice(BROKEN)
    if chance.random() < 0.2:
        return json.dumps(chance.choice(valid(chance, widgets)))
    known_one = chance.choice(widgets)
    method = chance.choice(["update", "update", "update", "custom", "request_state", "request_states", "", None, 7])
    names = [
        "index",
        "_options_labels",
        "value",
        "html",
        "specification",
        "children",
        "layout",
        "comm",
        "_esm",
        "__class__",
    ]
    state = {chance.choice(names): value(chance, widgets) for _ in range(chance.randrange(4))}
    data = {"method": method, "state": state, "content": value(chance, widgets), "buffer_paths": value(chance, widgets)}
    comm = chance.choice([known_one, known_one, uuid4().hex, "", None, 7, [], "x" * 300, "../..", "\ud800"])
    content = {"comm_id": comm, "target_name": chance.choice([CONTROL, "jupyter.widget", "x", None]), "data": data}
    kind = chance.choice(
        ["comm_msg"] * 6 + ["comm_open", "comm_open", "comm_close", "comm_info_request", "execute_request"]
    )
    parts = message(kind, chance.choice([content, content, content, {**content, "data": value(chance, widgets)}, None]))
    if chance.random() < 0.2:
        parts[chance.choice([*parts])] = value(chance, widgets)
    if chance.random() < 0.1:
        del parts[chance.choice([*parts])]
    return json.dumps(parts)


def valid(chance: random.Random, widgets: list[str]) -> list[dict[str, Any]]:
    """What a page could send, if not so often."""
    widget = chance.choice(widgets)
    return [
        *[update(one, index=chance.randrange(4)) for one in widgets],
        message("comm_msg", {"comm_id": widget, "data": {"method": "custom", "content": {"event": "ask"}}}),
        message("comm_open", {"comm_id": f"control-{chance.randrange(9)}", "target_name": CONTROL, "data": {}}),
        message("comm_msg", {"comm_id": f"control-{chance.randrange(9)}", "data": {"method": "request_states"}}),
    ]


def value(chance: random.Random, widgets: list[str], depth: int = 0) -> Any:
    """Any value that JSON has, and some that it has not."""
    plain = [
        None,
        True,
        -1,
        0,
        99,
        10**30,
        1e308,
        math.inf,
        math.nan,
        "",
        "x" * 5000,
        "\0",
        "\ud800",
        "<script>",
        "%00",
    ]
    plain += ["' or 1=1 --", "{{7*7}}", "../../etc/passwd", f"IPY_MODEL_{chance.choice(widgets)}", "IPY_MODEL_x"]
    if depth > 3 or chance.random() < 0.6:
        return chance.choice(plain)
    inner = [value(chance, widgets, depth + 1) for _ in range(chance.randrange(4))]
    return inner if chance.random() < 0.5 else {str(number): one for number, one in enumerate(inner)}


BROKEN: list[str | bytes] = [
    "",
    "null",
    "[]",
    "{}",
    "{",
    "\0",
    "[" * 900,
    "[" * 90_000,
    '{"a":' * 15_000,
    "9" * 6000,
    b"\0\0\0\2 not json",
    b"",
    "x" * (MESSAGE_BYTES - 1),
    json.dumps(message("comm_msg", "x" * 50_000)),
    json.dumps({"header": {"msg_type": ["comm_msg"], "msg_id": {}}, "channel": "shell", "content": {}}),
]


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
