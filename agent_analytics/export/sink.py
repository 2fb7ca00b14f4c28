"""Where a writer of files writes, so that its bytes can be passed on as they come."""

import io
from typing import Any


class Sink(io.RawIOBase):
    """A file of which what was written so far can be taken away."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._taken = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held += data
        return len(data)

    def tell(self) -> int:
        return self._taken + len(self._held)

    def taken(self) -> bytes:
        held, self._held = bytes(self._held), bytearray()
        self._taken += len(held)
        return held
