"""The kernels behind the pages: each belongs to the person who opened its page, and knows nothing but that person.

The only place that knows how a kernel starts, and what it is given: as root an account of its own, an allow-listed
environment, and a private directory with its sockets and a short-lived token for the API, which is renewed while the
person's rights last.
"""

import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from jupyter_client.ioloop.manager import AsyncIOLoopKernelManager
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.log import app_log
from traitlets import default
from traitlets.config import Config

from agent_analytics.client import API_URL, TOKEN_FILE
from agent_analytics.scope import Principal
from agent_analytics.serving import accounts, tokens
from agent_analytics.serving.accounts import Accounts
from agent_analytics.serving.home import make_private, prepare, socket_directory
from agent_analytics.serving.kernel_start import OWN_ACCOUNT
from agent_analytics.settings import Settings

NAME = "python3"
UNMET_SECONDS = 30
IDLE_SECONDS = 120
CULL_SECONDS = 15
TOKEN = "token"  # noqa: S105 - the name of a file
CONNECTION = "kernel.json"


@dataclass(frozen=True)
class Owner:
    """A signed-in person: the same while name and principal are. `session` proves it to the hub again."""

    name: str
    principal: Principal
    session: str = field(default="", repr=False, compare=False)


class Busy(Exception):
    """As many kernels run as one person, or the machine, may have."""


class OneSpecification(KernelSpecManager):
    """The one kind of kernel, whatever others are installed for this account."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        script = str(Path(__file__).with_name("kernel_start.py"))
        confined = [OWN_ACCOUNT] if accounts.available() else []
        argv = [sys.executable, "-I", script, *confined, "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Agent Analytics", language="python", name=NAME)

    def get_all_specs(self) -> dict[str, Any]:
        return {NAME: {"resource_dir": "", "spec": self.get_kernel_spec(NAME).to_dict()}}


class PrivateKernel(AsyncIOLoopKernelManager):
    """One kernel, whose connection file and sockets are its account's alone."""

    def write_connection_file(self, **kwargs: Any) -> None:
        """Before there is a process: nobody else can reach into the directory meanwhile."""
        super().write_connection_file(**kwargs)
        file = Path(self.connection_file)
        file.parent.chmod(0o700)
        accounts.give(file, (self._launch_args or {}).get("user"))  # type: ignore[arg-type]


def configure(c: Config, settings: Settings) -> None:
    """What Jupyter's own parts have to know. Raises SettingError or ServiceError where kernels could not start."""
    prepare(settings.home)
    accounts.remove(*(settings.home / "run").glob("voila_*"))
    if accounts.available():
        accounts.check(settings)
    else:
        app_log.warning("%s", accounts.SHARED)
    c.KernelManager.transport = "ipc"
    c.Voila.connection_dir_root = str(settings.home / "run")
    # A restarted kernel would have lost the page: a dead one stays dead, and the page offers to start again.
    c.KernelRestarter.restart_limit = 0
    c.MappingKernelManager.cull_idle_timeout = IDLE_SECONDS
    c.MappingKernelManager.cull_interval = CULL_SECONDS
    c.MappingKernelManager.cull_connected = False


def _homes(home: Path) -> Path:
    """An empty directory for the kernels' own ones: their accounts pass through it, but see and change nothing."""
    directory = socket_directory(home, "kernels", f"{uuid4()}/{Path(CONNECTION).stem}-ipc-1")
    accounts.remove(directory)
    make_private(directory, os.geteuid(), os.getegid())
    directory.chmod(0o711 if accounts.available() else 0o700)
    return directory


class Kernels(AsyncMappingKernelManager):
    """Every running kernel and whose it is. `furnish_for` comes before the first `reserve`."""

    @default("kernel_manager_class")
    def _kernels_are_private(self) -> str:
        return f"{PrivateKernel.__module__}.{PrivateKernel.__name__}"

    def furnish_for(self, settings: Settings, ended: Callable[[str], None]) -> None:
        """Start with nothing of an earlier service; `ended` is told each kernel that is no more."""
        self._settings, self._ended = settings, ended
        self._owners: dict[str, Owner] = {}
        self._met: set[str] = set()
        self._given: dict[str, int | None] = {}
        self._accounts = Accounts(accounts.of_kernels(settings)) if accounts.available() else None
        self._homes = _homes(settings.home)

    def owns(self, owner: Owner | None, kernel_id: str | None) -> bool:
        """Whether it is this person's; a missing kernel is nobody's."""
        return owner is not None and kernel_id is not None and self._owners.get(kernel_id) == owner

    def reserve(self, owner: Owner) -> str:
        """The id of a kernel to be started for this person. Raises Busy."""
        own = [kernel_id for kernel_id, other in self._owners.items() if other.name == owner.name]
        most, most_of_one = self._settings.kernels, self._settings.kernels_per_person
        if len({*self._owners, *self._given}) >= most or len(own) >= most_of_one:
            raise Busy
        kernel_id = str(uuid4())
        self._owners[kernel_id] = owner
        return kernel_id

    async def open(self, kernel_id: str, now: datetime) -> Any:
        """Start a reserved kernel and return its manager. Raises KeyError if it was closed meanwhile."""
        try:
            account = self._given[kernel_id] = self._accounts.take() if self._accounts else None
            home = self._furnish(kernel_id, account, now)
            own = {"cwd": str(home), "env": self._environment(home), **accounts.identity(account)}
            await self.start_kernel(kernel_id=kernel_id, kernel_name=NAME, **own)
        except BaseException:
            self._disown(kernel_id)
            self._clear(kernel_id)
            raise
        if kernel_id not in self._owners:
            await self.shutdown_kernel(kernel_id)
        return self.get_kernel(kernel_id)

    async def close(self, kernel_id: str) -> None:
        """End a kernel at once, if it has not ended yet: it keeps nothing. One that is still starting ends then."""
        self._disown(kernel_id)
        if kernel_id in self:
            await self.shutdown_kernel(kernel_id, now=True)

    async def close_unmet(self, kernel_id: str) -> None:
        """End a kernel to which no page has ever connected."""
        if kernel_id in self._owners and kernel_id not in self._met:
            app_log.info("Kernel %s: its page never connected", kernel_id)
            await self.close(kernel_id)

    def notify_connect(self, kernel_id: str) -> None:
        self._met.add(kernel_id)
        super().notify_connect(kernel_id)

    async def renew(self, still: Callable[[Owner], Awaitable[bool]], now: datetime) -> None:
        """A fresh token for each kernel whose owner `still` has the right; the others' kernels end."""
        sessions = {(owner, owner.session): owner for owner in self._owners.values()}
        for session, owner in sessions.items():
            allowed = await still(owner)
            for kernel_id in [key for key, one in self._owners.items() if (one, one.session) == session]:
                if not allowed:
                    await self.close(kernel_id)
                elif kernel_id in self._owners and kernel_id in self._given:
                    await self._renew_one(kernel_id, owner, now)

    async def _renew_one(self, kernel_id: str, owner: Owner, now: datetime) -> None:
        """A kernel that lets nobody write into its directory ends alone."""
        try:
            self._write_token(kernel_id, owner, now)
        except OSError as error:
            app_log.warning("Kernel %s: its token cannot be renewed: %s", kernel_id, error.strerror)
            await self.close(kernel_id)

    def pre_start_kernel(self, kernel_name: str | None, kwargs: Any) -> Any:
        """Jupyter's preparation, but everything of a kernel is in its own directory."""
        manager, name, kernel_id = super().pre_start_kernel(kernel_name, kwargs)
        manager.connection_file = str(self._homes / kernel_id / CONNECTION)
        return manager, name, kernel_id

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
        self._disown(kernel_id)
        removed = super().remove_kernel(kernel_id)
        self._clear(kernel_id)
        return removed

    def _disown(self, kernel_id: str) -> None:
        self._met.discard(kernel_id)
        if self._owners.pop(kernel_id, None) is not None:
            self._ended(kernel_id)

    def _clear(self, kernel_id: str) -> None:
        """Nothing is left of it: no process, no file; its account may be another's."""
        if kernel_id in self._given:
            account = self._given.pop(kernel_id)
            if self._accounts and account is not None:
                self._accounts.release(account)
            accounts.remove(self._homes / kernel_id)

    def _furnish(self, kernel_id: str, account: int | None, now: datetime) -> Path:
        home = self._homes / kernel_id
        home.mkdir(mode=0o700)
        self._write_token(kernel_id, self._owners[kernel_id], now)
        accounts.give(home, account)
        return home

    def _environment(self, home: Path) -> dict[str, str]:
        """All that a kernel is told; nothing of the service's own environment."""
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "TMPDIR": str(home),
            API_URL: f"http://127.0.0.1:{self._settings.port_of('api')}/services/api",
            TOKEN_FILE: str(home / TOKEN),
        }

    def _write_token(self, kernel_id: str, owner: Owner, now: datetime) -> None:
        """Whole or not at all: the kernel may read at any time. It may meddle too, so the file is given while open."""
        home, account = self._homes / kernel_id, self._given[kernel_id]
        draft = home / f".{TOKEN}-{uuid4().hex}"
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            if account is not None:
                os.fchown(file.fileno(), account, account)
            file.write(tokens.issue(self._settings.home, owner.principal, now))
        draft.replace(home / TOKEN)
