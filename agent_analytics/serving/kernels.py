"""The kernels behind the pages: each belongs to the person who opened its page, and knows nothing but that person.

The only place that knows how a kernel starts, and what it is given: an allow-listed environment, a private
directory, and in it a short-lived token for the API, which is renewed while the person's rights last.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.log import app_log
from traitlets.config import Config

from agent_analytics.client import API_URL, TOKEN_FILE
from agent_analytics.scope import Principal
from agent_analytics.serving import tokens
from agent_analytics.serving.home import make_private, prepare, socket_directory
from agent_analytics.settings import Settings

NAME = "python3"
PER_PERSON = 8
IN_ALL = 40
IDLE_SECONDS = 120
CULL_SECONDS = 15
LONG_AGO = datetime.fromtimestamp(0, UTC)
TOKEN = "token"  # noqa: S105 - the name of a file


@dataclass(frozen=True)
class Owner:
    """A signed-in person: the same while name and principal are. `session` proves it to the hub again.

    The provider last said so at `verified_at`; if it cannot be reached again, that is good for reading until
    `valid_until`.
    """

    name: str
    principal: Principal
    session: str = field(default="", repr=False, compare=False)
    verified_at: datetime = field(default=LONG_AGO, compare=False)
    valid_until: datetime = field(default=LONG_AGO, compare=False)


class Busy(Exception):
    """As many kernels run as one person, or the machine, may have."""


class OneSpecification(KernelSpecManager):
    """The one kind of kernel, whatever others are installed for this account."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = [sys.executable, "-I", "-m", "agent_analytics.serving.kernel_start", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Agent Analytics", language="python", name=NAME)

    def get_all_specs(self) -> dict[str, Any]:
        return {NAME: {"resource_dir": "", "spec": self.get_kernel_spec(NAME).to_dict()}}


def configure(c: Config, settings: Settings) -> None:
    """What Jupyter's own parts have to know."""
    c.KernelManager.transport = "ipc"
    c.Voila.connection_dir_root = str(_sockets(settings.home))
    # A restarted kernel would have lost the page: a dead one stays dead, and the page offers to start again.
    c.KernelRestarter.restart_limit = 0
    c.MappingKernelManager.cull_idle_timeout = IDLE_SECONDS
    c.MappingKernelManager.cull_interval = CULL_SECONDS
    c.MappingKernelManager.cull_connected = False


def _sockets(home: Path) -> Path:
    """Where the kernels' sockets lie; what a killed service left there goes."""
    prepare(home)
    directory = socket_directory(home, "run", f"voila_12345678/kernel-{uuid4()}-ipc-1")
    make_private(directory, os.geteuid(), os.getegid())
    for left in directory.glob("voila_*"):
        shutil.rmtree(left, ignore_errors=True)
    return directory


class Kernels(AsyncMappingKernelManager):
    """Every running kernel and whose it is. `furnish_for` comes before the first `reserve`."""

    def furnish_for(self, settings: Settings, ended: Callable[[str], None]) -> None:
        """Start with an empty directory of homes; `ended` is told each kernel that is no more."""
        self._settings, self._ended = settings, ended
        self._owners: dict[str, Owner] = {}
        self._closing: set[asyncio.Future[None]] = set()
        self._homes = settings.home / "kernels"
        shutil.rmtree(self._homes, ignore_errors=True)
        self._homes.mkdir(mode=0o700, parents=True)

    def owns(self, owner: Owner | None, kernel_id: str | None) -> bool:
        """Whether it is this person's; a missing kernel is nobody's."""
        return owner is not None and kernel_id is not None and self._owners.get(kernel_id) == owner

    def reserve(self, owner: Owner) -> str:
        """The id of a kernel to be started for this person. Raises Busy."""
        own = [kernel_id for kernel_id, other in self._owners.items() if other.name == owner.name]
        if len(self._owners) >= IN_ALL or len(own) >= PER_PERSON:
            raise Busy
        kernel_id = str(uuid4())
        self._owners[kernel_id] = owner
        return kernel_id

    async def open(self, kernel_id: str, now: datetime) -> Any:
        """Start a reserved kernel and return its manager. Raises KeyError if it was closed meanwhile."""
        try:
            home = self._furnish(kernel_id, now)
            environment = self._environment(home)
            await self.start_kernel(kernel_id=kernel_id, kernel_name=NAME, cwd=str(home), env=environment)
        except BaseException:
            self._forget(kernel_id)
            raise
        if kernel_id not in self._owners:
            await self.shutdown_kernel(kernel_id)
        return self.get_kernel(kernel_id)

    async def close(self, kernel_id: str) -> None:
        """End a kernel at once, if it has not ended yet: it keeps nothing."""
        if kernel_id in self:
            await self.shutdown_kernel(kernel_id, now=True)
        self._forget(kernel_id)

    @property
    def owners(self) -> dict[str, Owner]:
        """Whose each kernel is."""
        return dict(self._owners)

    async def renew(self, still: Callable[[Owner, datetime], Awaitable[Owner | None]], now: datetime) -> None:
        """A fresh token for each kernel whose owner `still` has the right; the others' kernels end.

        All are asked about at once: one slow answer delays nobody else's.
        """
        sessions = {(owner, owner.session): owner for owner in self._owners.values()}
        await asyncio.gather(*(self._renew(owner, still, now) for owner in sessions.values()))

    async def _renew(
        self, owner: Owner, still: Callable[[Owner, datetime], Awaitable[Owner | None]], now: datetime
    ) -> None:
        try:
            found = await still(owner, now)
        except Exception:
            app_log.exception("%s could not be asked about", owner.name)
            found = None
        for kernel_id, one in self.owners.items():
            if (one, one.session) != (owner, owner.session) or kernel_id not in self._owners:
                continue
            if found is None:
                self._forget(kernel_id)  # hangs up at once; the kernel's own end may take longer than a sweep has time
                closing = asyncio.ensure_future(self.close(kernel_id))
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)
            elif (self._homes / kernel_id).is_dir():
                self._owners[kernel_id] = found
                self._write_token(self._homes / kernel_id, found, now)

    async def start_kernel(self, *, kernel_id: str | None = None, **kwargs: Any) -> str:  # type: ignore[override]
        """Jupyter's own way in starts nothing for nobody."""
        if kernel_id is None or kernel_id not in self._owners:
            raise PermissionError("A kernel starts for the person who opens a page.")
        return await super().start_kernel(kernel_id=kernel_id, **kwargs)

    async def shutdown_kernel(  # type: ignore[override]
        self, kernel_id: str, now: bool = True, restart: bool = False
    ) -> None:
        await super().shutdown_kernel(kernel_id, now=now, restart=restart)

    def remove_kernel(self, kernel_id: str) -> Any:
        """However it ended: by its page, idle, killed, or with us."""
        self._forget(kernel_id)
        return super().remove_kernel(kernel_id)

    def _forget(self, kernel_id: str) -> None:
        if self._owners.pop(kernel_id, None) is not None:
            shutil.rmtree(self._homes / kernel_id, ignore_errors=True)
            self._ended(kernel_id)

    def _furnish(self, kernel_id: str, now: datetime) -> Path:
        home = self._homes / kernel_id
        home.mkdir(mode=0o700)
        self._write_token(home, self._owners[kernel_id], now)
        return home

    def _environment(self, home: Path) -> dict[str, str]:
        """All that a kernel is told; nothing of the service's own environment."""
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
            "LANG": "C.UTF-8",
            "HOME": str(home),
            API_URL: f"http://127.0.0.1:{self._settings.port_of('api')}/services/api",
            TOKEN_FILE: str(home / TOKEN),
        }

    def _write_token(self, home: Path, owner: Owner, now: datetime) -> None:
        """Whole or not at all: the kernel may read at any time."""
        draft = home / f".{TOKEN}-{uuid4().hex}"
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(tokens.issue(self._settings.home, owner.principal, now, verified_at=owner.verified_at))
        draft.replace(home / TOKEN)
