"""Places for those who read the record at length: a slow reader keeps a snapshot open for as long."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.exceptions import HTTPException

from agent_analytics.scope import Principal

IN_ALL, OF_ONE = 8, 2
RETRY_SECONDS = "30"


class Places:
    """So many in all, and so many for one person, that nobody keeps the others out."""

    def __init__(self, in_all: int = IN_ALL, of_one: int = OF_ONE) -> None:
        self._in_all, self._of_one = in_all, of_one
        self._taken: list[tuple[str | None, str | None]] = []
        self._lock = threading.Lock()

    @contextmanager
    def take(self, principal: Principal) -> Iterator[None]:
        """A place until the end of the block. Raises HTTPException (503) where none is free."""
        who = (principal.organization, principal.user)
        with self._lock:
            self._check(who)
            self._taken.append(who)
        try:
            yield
        finally:
            with self._lock:
                self._taken.remove(who)

    def _check(self, who: tuple[str | None, str | None]) -> None:
        if self._taken.count(who) >= self._of_one:
            raise _busy(f"{self._of_one} exports of yours are being made already. Try again when one has ended.")
        if len(self._taken) >= self._in_all:
            raise _busy(f"{self._in_all} exports are being made already. Try again when one has ended.")


def _busy(detail: str) -> HTTPException:
    return HTTPException(503, detail, {"retry-after": RETRY_SECONDS})
