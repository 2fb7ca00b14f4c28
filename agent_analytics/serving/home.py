"""The installation's directory: who may pass through it, and locks between the processes that use it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from agent_analytics.errors import ServiceError

PARTS = ("keys", "run", "logs")
LONGEST_SOCKET = 92


def prepare(home: Path) -> None:
    """Make the directory and its private parts. Raises ServiceError where we may not write.

    For root the directory lets other accounts pass through, to the parts that belong to them.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        if home.stat().st_uid == os.geteuid():
            home.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for part in PARTS:
            (home / part).mkdir(mode=0o700, exist_ok=True)
        os.close(os.open(home / "run", os.O_RDONLY))
        _try_to_write(home / "run")
    except OSError as error:
        raise ServiceError(
            f"{home} cannot be used for the installation's state: {error.strerror}. "
            "Set AGENT_ANALYTICS_HOME to a directory that you may write."
        ) from None


def _try_to_write(directory: Path) -> None:
    probe = directory / f".probe-{os.getpid()}"
    probe.touch(mode=0o600)
    probe.unlink()


class Lock:
    """A file lock that the kernel lets go of when its last holder ends, however it ends.

    A process that inherits `descriptor` holds the lock too.
    """

    def __init__(self, home: Path, name: str) -> None:
        self.path = home / "run" / f"{name}.lock"
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def shared(self) -> None:
        """Wait until nobody holds it for themselves alone."""
        fcntl.flock(self.descriptor, fcntl.LOCK_SH)

    def alone(self) -> None:
        """Wait until nobody else holds it."""
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)

    def try_alone(self, seconds: float = 0) -> bool:
        """Whether within that time nobody else holds it; if so, we do now."""
        deadline = time.monotonic() + seconds
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)

    def release(self) -> None:
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self.descriptor)


@contextmanager
def lock(home: Path, name: str) -> Iterator[Lock]:
    """A lock not yet taken; at the end we let go of it."""
    prepare(home)
    held = Lock(home, name)
    try:
        yield held
    finally:
        held.close()


def tail(log: Path, lines: int) -> str:
    """The last lines of a log file, or nothing where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 500 * lines))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def socket_directory(home: Path, part: str, socket: str) -> Path:
    """Where a part's socket lies: in it, or in a short place where its path would be longer than a socket's may be.

    Some room is left for the process number that supervisor appends at first.
    """
    if len(os.fsencode(home / part / socket)) <= LONGEST_SOCKET:
        return home / part
    digest = sha256(os.fsencode(home / part)).hexdigest()[:16]
    return Path("/tmp") / f"agent-analytics-{digest}"  # noqa: S108


def make_private(directory: Path, uid: int, gid: int) -> None:
    """Make a directory that only this account may open; refuse one that somebody else made in its place."""
    _make(directory, uid, gid, 0o700, "closed to others")


def make_passable(directory: Path, uid: int, gid: int) -> None:
    """Make a directory that others may pass through, not list nor write; refuse somebody else's in its place."""
    _make(directory, uid, gid, 0o711, "passable to others")


def _make(directory: Path, uid: int, gid: int, mode: int, kind: str) -> None:
    try:
        directory.mkdir(mode=0o700)
        os.chown(directory, uid, gid)
        directory.chmod(mode)
    except FileExistsError:
        found = directory.lstat()
        if (found.st_uid, found.st_mode) != (uid, 0o40000 | mode):
            raise ServiceError(
                f"{directory} must be a directory that belongs to user id {uid} and is {kind} (mode {mode:04o})."
            ) from None
