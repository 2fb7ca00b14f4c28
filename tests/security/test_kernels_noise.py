"""Ten thousand random messages of a browser: nothing comes back that should not, and the kernel lives."""

import json
import math
import random
from typing import Any
from uuid import uuid4

from dashboards.house import House, Opened
from security.comms import answered, message, states, update
from websockets.exceptions import ConnectionClosed

from agent_analytics.serving.sockets import CONTROL, MESSAGE_BYTES

MESSAGES = 10_000
SECRETS = ("Traceback", "site-packages", "agent_analytics", "/tmp/", "/home/", "canary", "select ", 'File "')


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
        "notice",
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
