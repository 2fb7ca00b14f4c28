"""What a client posts to the demo's provider, and who it says it is."""

import base64
from collections.abc import Mapping
from urllib.parse import parse_qs, unquote_plus

from starlette.requests import Request

LARGEST_BODY = 65536


async def form_of(request: Request) -> dict[str, str]:
    """A small urlencoded body; of a field sent twice, the first."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_BODY:
            return {}
    return {name: values[0] for name, values in parse_qs(body.decode(errors="replace")).items()}


def credentials(authorization: str, form: Mapping[str, str]) -> tuple[str, str]:
    """A client's name and password, from the header or else from the form; empty where they cannot be read."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return unquote_plus(name), unquote_plus(password)
