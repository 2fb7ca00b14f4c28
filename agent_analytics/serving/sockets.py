"""A page and its kernel: who may reach it, and what they may say to each other."""

import json
from typing import Any

from jupyter_server.auth import Authorizer
from jupyter_server.services.kernels.handlers import KernelHandler
from jupyter_server.services.kernels.websocket import KernelWebsocketHandler
from tornado.log import app_log

from agent_analytics.serving.replies import Reply

INCOMING = ("comm_open", "comm_msg", "comm_close", "comm_info_request")
OUTGOING = ("comm_open", "comm_msg", "comm_close", "comm_info_reply", "status")
PARTS = ("header", "parent_header", "metadata", "content")
CONTROL = "jupyter.widget.control"
MESSAGE_BYTES = 100_000


class OwnKernels(Authorizer):
    """Your kernel, or no kernel: a missing one is refused like another's."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return resource == "kernels" and handler.kernels.owns(handler.owner, handler.path_kwargs["kernel_id"])


class Kernel(Reply, KernelHandler):
    """Whether a kernel is still there (GET), and the page's goodbye (DELETE)."""


class Socket(Reply, KernelWebsocketHandler):
    """A page's connection to its kernel: widgets' messages, and nothing that runs code or tells of failures."""

    notice: str | None = None

    def set_default_headers(self) -> None:
        """A websocket has none of ours."""

    async def open(self, kernel_id: str) -> None:
        self.settings["sockets"].setdefault(kernel_id, set()).add(self)
        await super().open(kernel_id)

    def on_close(self) -> None:
        self.settings["sockets"].get(self.kernel_id, set()).discard(self)
        super().on_close()

    def notify(self, notice: str) -> None:
        """Tell the page what stands above it from now on: nothing for an empty notice."""
        if notice != self.notice and self.ws_connection is not None:
            self.notice = notice
            said = {"header": {"msg_type": "notice"}, "content": {"text": notice}}
            KernelWebsocketHandler.write_message(self, json.dumps(said))

    def on_message(self, text: str | bytes) -> None:
        if _is_allowed(text):
            super().on_message(text)
        else:
            app_log.warning("Kernel %s: a message that pages do not send was dropped", self.kernel_id)

    def write_message(self, message: str | bytes | dict[str, Any], binary: bool = False) -> Any:
        if isinstance(message, str) and json.loads(message)["header"]["msg_type"] in OUTGOING:
            return super().write_message(message)
        return None


def _is_allowed(text: str | bytes) -> bool:
    """A page answers its widgets; it opens no new ones, and asks for all their states at most."""
    try:
        message = json.loads(text) if isinstance(text, str) else {}
        whole = all(isinstance(message[part], dict) for part in PARTS)
        kind, content = message["header"]["msg_type"], message["content"]
        opens_another = kind == "comm_open" and content["target_name"] != CONTROL
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    return whole and message.get("channel") == "shell" and kind in INCOMING and not opens_another


def notify(sockets: dict[str, set[Socket]], kernel_id: str, notice: str) -> None:
    for socket in sockets.get(kernel_id, set()):
        socket.notify(notice)


def hang_up(sockets: dict[str, set[Socket]], kernel_id: str) -> None:
    for socket in sockets.pop(kernel_id, set()):
        socket.close(4000, "The kernel has ended.")
