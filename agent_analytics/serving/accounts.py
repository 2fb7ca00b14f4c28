"""Accounts for code that is not the service's own: as root, a user id for each kernel and for each person's server.

The ids come from a range that nothing else on the machine has. Whoever uses one holds a lock on it, which ends with
its holder: so installations beside each other never meet, and none is given again while anything of it lives.
"""

import fcntl
import grp
import os
import pwd
import subprocess
import sys
from collections import deque
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

import agent_analytics
from agent_analytics.errors import ServiceError, SettingError
from agent_analytics.serving.home import make_private
from agent_analytics.settings import Settings
from agent_analytics.widgets import assets

EACH = 1000
LOCKS = Path("/var/run/agent-analytics")
OPEN_TO_ALL = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108
SHARED = "not root: every kernel runs under the account of the dashboards service, and could read what that account can"
_READABLE = 'for path; do test -r "$path" || { echo "$path"; exit 1; }; done'
_PASSABLE = 'for path; do test -x "$path" || { echo "$path"; exit 1; }; done'


def available() -> bool:
    """Whether code can run under accounts of its own here: root alone may give them."""
    return os.geteuid() == 0


def of_kernels(settings: Settings) -> range:
    return range(settings.first_account, settings.first_account + EACH)


def of_servers(settings: Settings) -> range:
    """For people's own servers."""
    return range(settings.first_account + EACH, settings.first_account + 2 * EACH)


def identity(account: int | None) -> dict[str, Any]:
    """What `subprocess` needs to start a process under an account, or under our own where it has none."""
    alone = {} if account is None else {"user": account, "group": account, "extra_groups": []}
    return {**alone, "umask": 0o077}


def give(path: Path, account: int | None) -> None:
    """Make a file or directory the account's. Only where no process of that account can put another in its place."""
    if account is not None:
        os.chown(path, account, account, follow_symlinks=False)


def check(settings: Settings) -> None:
    """That the range is nobody's, and that its accounts reach what they run. Raises SettingError or ServiceError."""
    ids = range(settings.first_account, settings.first_account + 2 * EACH)
    taken = [f"The user {entry.pw_name!r}" for entry in pwd.getpwall() if entry.pw_uid in ids]
    taken += [f"The group {entry.gr_name!r}" for entry in grp.getgrall() if entry.gr_gid in ids]
    if taken:
        raise SettingError(
            f"{taken[0]} has one of the ids {ids[0]} to {ids[-1]}, which are for kernels and servers alone. "
            f"Set AGENT_ANALYTICS_FIRST_ACCOUNT to the first of {len(ids):,} ids that nothing has."
        )
    package = Path(agent_analytics.__file__)
    needed = [sys.executable, package, package.with_name("page.py"), assets.DIST / "manifest.json", *_installed()]
    _refuse(_first(ids[0], _READABLE, needed), "Install Agent Analytics where other accounts can read it")
    _refuse(_first(ids[0], _PASSABLE, [settings.home]), "Set AGENT_ANALYTICS_HOME to a directory they can pass through")


def _installed() -> list[str]:
    """One file of the environment in which the dependencies are."""
    found = find_spec("ipykernel")
    return [found.origin] if found and found.origin else []


def _first(account: int, script: str, paths: Iterable[object]) -> str:
    """The first of the paths that fails the script's test for this account, or nothing."""
    command = ["/bin/sh", "-c", script, "sh", *map(str, paths)]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", **identity(account)).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ServiceError(
            f"As root, kernels run under accounts of their own, and root may not start one here ({error}). "
            "Allow it to (CAP_SETUID, CAP_SETGID, CAP_KILL, CAP_CHOWN), or start as another user than root."
        ) from None


def _refuse(path: str, mend: str) -> None:
    if path:
        raise ServiceError(
            f"As root, kernels run under accounts of their own, which cannot reach {path.strip()}. "
            f"{mend}, not below a directory such as /root."
        )


class Accounts:
    """The ids of a range, each given to one holder at a time; the one that was used last comes last again."""

    def __init__(self, ids: range) -> None:
        make_private(LOCKS, os.geteuid(), os.getegid())
        self._ids, self._locks = deque(ids), dict[int, int]()
        self._end_left_over(ids)

    def take(self) -> int:
        """An account of which nothing lives. Raises ServiceError where all are in use."""
        alive = living()
        for _ in range(len(self._ids)):
            account = self._ids[0]
            self._ids.rotate(-1)
            if account not in alive and account not in self._locks and self._lock(account):
                return account
        raise ServiceError("Every account for kernels is in use.")

    def release(self, account: int) -> None:
        """End whatever still runs under it, and remove what it left where everybody may write."""
        end_all(account)
        for place in OPEN_TO_ALL:
            remove(*_owned(Path(place), account))
        self._unlock(account)

    def _end_left_over(self, ids: range) -> None:
        """What a killed service left running; others' accounts are locked."""
        for account in living() & set(ids):
            if self._lock(account):
                end_all(account)
                self._unlock(account)

    def _lock(self, account: int) -> bool:
        descriptor = os.open(LOCKS / str(account), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._locks[account] = descriptor
        return True

    def _unlock(self, account: int) -> None:
        os.close(self._locks.pop(account))


def living() -> set[int]:
    """The user ids that have processes."""
    return {process.info["uids"].real for process in psutil.process_iter(["uids"]) if process.info["uids"]}


def end_all(account: int) -> None:
    """Kill every process of an account in one call, so that none can start another meanwhile."""
    command = ["/bin/sh", "-c", "kill -s KILL -- -1"]
    subprocess.run(command, check=False, capture_output=True, cwd="/", **identity(account))


def remove(*paths: Path) -> None:
    """Remove whole trees, however deep."""
    if paths:
        subprocess.run(["/bin/rm", "-rf", "--", *paths], check=False, capture_output=True)


def _owned(place: Path, account: int) -> list[Path]:
    try:
        return [path for path in place.iterdir() if path.lstat().st_uid == account]
    except OSError:
        return []
