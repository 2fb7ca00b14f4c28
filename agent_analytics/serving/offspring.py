"""Every process below this one, also those whose own parent has died: adopted, and ended without a remainder."""

import ctypes
import signal
import sys
from contextlib import suppress

import psutil

_PARENT_DEATH_SIGNAL, _CHILD_SUBREAPER = 1, 36


def adopt() -> None:
    """From here on, orphans below this process become its children, where the kernel offers that (Linux)."""
    _prctl(_CHILD_SUBREAPER, 1)


def end_with_parent() -> None:
    """In a new child, before its program: to adopt its own orphans, and to be told to end when its parent dies."""
    _prctl(_CHILD_SUBREAPER, 1)
    _prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def end_all(seconds: float) -> None:
    """Ask every process below this one to end, and kill those that have not after `seconds`."""
    for ask in (psutil.Process.terminate, psutil.Process.kill):
        while left := psutil.Process().children(recursive=True):
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    ask(process)
            if psutil.wait_procs(left, timeout=seconds)[1]:
                break
