"""Where a list goes on: a place in its order as opaque text. It carries no rights: whoever sends it sees their own."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from agent_analytics.errors import QueryError

LONGEST = 2000


def encode(place: Sequence[Any]) -> str:
    """A place whose parts are texts, whole numbers and nulls.

    >>> decode(encode(["started_at", 1, None]))
    ['started_at', 1, None]
    """
    return urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode().rstrip("=")


def decode(text: str) -> list[Any]:
    """A place from hostile text; raises QueryError."""
    try:
        place = json.loads(urlsafe_b64decode(text[:LONGEST].encode("ascii") + b"=" * (-len(text) % 4)))
    except (ValueError, RecursionError):
        raise wrong() from None
    if not isinstance(place, list) or not all(part is None or type(part) in (int, str) for part in place):
        raise wrong()
    return place


def instant(text: Any) -> datetime:
    """A part of a place that is an instant; raises QueryError."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise wrong() from None
    if found.tzinfo is None:
        raise wrong()
    return found


def wrong() -> QueryError:
    return QueryError("The cursor is not one that this list gave. Start without one.")
