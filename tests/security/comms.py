"""What a page says to its kernel, and what it gets to hear."""

import json
from typing import Any
from uuid import uuid4

from websockets.sync.client import ClientConnection

from agent_analytics.serving.sockets import CONTROL


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
