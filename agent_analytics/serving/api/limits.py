"""Before anything of a request is read: its reference, and how long its address and its body may be."""

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_analytics.serving.api import problems

LONGEST_ADDRESS = 60_000
LARGEST_BODY = 1024 * 1024
_TOO_LONG = f"The address is longer than {LONGEST_ADDRESS:,} bytes. Send what is long as a body."
_TOO_LARGE = f"The body is larger than {LARGEST_BODY:,} bytes."


class Limits:
    """414 and 413 before a route is reached; a body that does not say its length is counted while it comes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        problems.begin()
        if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST_ADDRESS:
            return await problems.problem(414, _TOO_LONG)(scope, receive, send)
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > LARGEST_BODY:
            return await problems.problem(413, _TOO_LARGE)(scope, receive, send)
        return await self._answered(scope, _counted(receive), send)

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A failure becomes a problem, and the connection stays; what is cut in the middle breaks it, to be noticed."""
        started = False

        async def sent(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except Exception as error:
            if started:
                raise
            await problems.unexpected(scope, error)(scope, receive, send)


def _counted(receive: Receive) -> Receive:
    seen = 0

    async def received() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > LARGEST_BODY:
            raise HTTPException(413, _TOO_LARGE)
        return message

    return received
