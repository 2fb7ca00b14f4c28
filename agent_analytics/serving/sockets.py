"""A page and its kernel: who may reach it, and what they may say to each other."""

import json
import re
from typing import Any
from urllib.parse import urlsplit

from jupyter_server.auth import Authorizer
from jupyter_server.services.kernels.handlers import KernelHandler
from jupyter_server.services.kernels.websocket import KernelWebsocketHandler
from tornado.log import app_log
from tornado.web import HTTPError

from agent_analytics.serving.replies import RETRY_SECONDS, Reply

INCOMING = ("comm_open", "comm_msg", "comm_info_request")
OUTGOING = ("comm_open", "comm_msg", "comm_close", "comm_info_reply", "status")
WRITABLE = ("index",)
CONTROL = "jupyter.widget.control"
CONTROL_VERSION = "1.0.0"
MESSAGE_BYTES = 100_000
MOST_SOCKETS = 4
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class OwnKernels(Authorizer):
    """Your kernel, or no kernel: a missing one is refused like another's."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return resource == "kernels" and handler.kernels.owns(handler.owner, handler.path_kwargs["kernel_id"])


class Kernel(Reply, KernelHandler):
    """Whether a kernel is still there (GET), and the page's goodbye (DELETE)."""

    def options(self, *_: str, **__: str) -> None:
        """No other site may ask."""
        raise HTTPError(405)


class Socket(Reply, KernelWebsocketHandler):
    """A page's connection to its kernel: widgets' messages, and nothing that runs code or tells of failures."""

    notice: str | None = None
    dropped = 0

    async def get(self, kernel_id: str) -> None:
        """As long as the connection lasts, or until it is refused."""
        try:
            await super().get(kernel_id)
        finally:
            self.settings["sockets"].get(kernel_id, set()).discard(self)

    async def pre_get(self) -> None:
        """Its owner's alone, and only so many of them."""
        if not self.kernels.owns(self.owner, self.kernel_id) or not self.check_origin():
            raise HTTPError(403)
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            raise HTTPError(400, "not a websocket")
        if not _ID.fullmatch(self.get_argument("session_id", "none")):
            raise HTTPError(400, "no session's id")
        open_ones = self.settings["sockets"].setdefault(self.kernel_id, set())
        if len(open_ones) >= MOST_SOCKETS:
            self.set_header("Retry-After", RETRY_SECONDS)
            raise HTTPError(503, "too many connections to one kernel")
        open_ones.add(self)
        await super().pre_get()

    def check_origin(self, origin: str | None = None) -> bool:
        """The page's own host, and by TLS where that is how browsers reach us."""
        asked = self.request.headers.get("Origin", "")
        is_plain = self.settings["secure"] and asked and urlsplit(asked).scheme != "https"
        return not is_plain and super().check_origin(origin)

    def select_subprotocol(self, subprotocols: list[str]) -> None:
        """One message a text: the form that we check."""

    def on_close(self) -> None:
        if self.dropped:
            app_log.warning("Kernel %s: %d messages that pages do not send were dropped", self.kernel_id, self.dropped)
        super().on_close()

    def notify(self, notice: str) -> None:
        """Tell the page what stands above it from now on: nothing for an empty notice."""
        if notice != self.notice and self.ws_connection is not None:
            self.notice = notice
            said = {"header": {"msg_type": "notice"}, "content": {"text": notice}}
            KernelWebsocketHandler.write_message(self, json.dumps(said))

    def on_message(self, text: str | bytes) -> None:
        message = known(text)
        if message is None:
            self.dropped += 1
        else:
            super().on_message(json.dumps(message))

    def write_message(self, message: str | bytes | dict[str, Any], binary: bool = False) -> Any:
        if isinstance(message, str) and json.loads(message)["header"]["msg_type"] in OUTGOING:
            return super().write_message(message)
        return None


def known(text: str | bytes) -> dict[str, Any] | None:
    """A page's message, made anew of the parts that pages send; None for any other."""
    try:
        message = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    match message:
        case {"channel": "shell", "header": {"msg_id": str(number), "msg_type": str(kind)}, "content": dict(content)}:
            told = _content(kind, content) if _ID.fullmatch(number) else None
            return None if told is None else _message(number, kind, told)
    return None


def _message(number: str, kind: str, content: dict[str, Any]) -> dict[str, Any]:
    header = {"msg_id": number, "msg_type": kind, "username": "", "session": "page", "version": "5.3", "date": ""}
    metadata = {"version": CONTROL_VERSION} if kind == "comm_open" else {}
    return {"channel": "shell", "header": header, "parent_header": {}, "metadata": metadata, "content": content}


def _content(kind: str, content: dict[str, Any]) -> dict[str, Any] | None:
    """A page opens no widgets; it asks for the states of all, and answers its own."""
    match kind, content:
        case "comm_info_request", _:
            return {}
        case "comm_open", {"comm_id": str(comm), "target_name": str(target)} if target == CONTROL:
            return {"comm_id": comm, "target_name": CONTROL, "data": {}} if _ID.fullmatch(comm) else None
        case "comm_msg", {"comm_id": str(comm), "data": dict(data)} if _ID.fullmatch(comm):
            told = _data(data)
            return None if told is None else {"comm_id": comm, "data": told}
    return None


def _data(data: dict[str, Any]) -> dict[str, Any] | None:
    """All that a page tells a widget: a choice among what is offered, or that it wants its answer again."""
    match data:
        case {"method": "request_states"}:
            return {"method": "request_states"}
        case {"method": "custom", "content": {"event": "ask"}}:
            return {"method": "custom", "content": {"event": "ask"}}
        case {"method": "update", "state": dict(state)} if all(map(_is_choice, state.keys(), state.values())):
            return {"method": "update", "state": state, "buffer_paths": []}
    return None


def _is_choice(name: str, value: object) -> bool:
    return name in WRITABLE and type(value) is int and 0 <= value < 10_000


def notify(sockets: dict[str, set[Socket]], kernel_id: str, notice: str) -> None:
    for socket in sockets.get(kernel_id, set()):
        socket.notify(notice)


def hang_up(sockets: dict[str, set[Socket]], kernel_id: str) -> None:
    for socket in sockets.pop(kernel_id, set()):
        socket.close(4000, "The kernel has ended.")
