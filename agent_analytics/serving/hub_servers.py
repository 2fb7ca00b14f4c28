"""JupyterLab servers: for whom the hub starts one, under which account, and when it ends them."""

import os
import sys
from asyncio import Task, create_task, gather, to_thread
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

from jupyterhub.app import JupyterHub
from jupyterhub.spawner import LocalProcessSpawner
from jupyterhub.user import User
from traitlets import Any as AnyTrait
from traitlets.config import Config

from agent_analytics import audit
from agent_analytics.client import API_URL, TOKEN_FILE
from agent_analytics.errors import Forbidden, RecordUnavailable
from agent_analytics.scope import Principal
from agent_analytics.serving import accounts, lab, lab_homes, logins, postgres, rhythm, tokens
from agent_analytics.settings import Settings
from agent_analytics.sql import SQL_FILE
from agent_analytics.store import Record

GROUP = "jupyterlab"
MOST_SERVERS = 20
TOKEN, LOGIN = "token", "login"
_ending: set[Task[Any]] = set()
SECONDS_TO_START = 120
SECONDS_TO_END = 3


def groups(principal: Principal) -> list[str]:
    """The hub's groups of a person: those who may start a server are in one."""
    return [GROUP] if principal.role in lab.ROLES else []


def roles(settings: Settings) -> list[dict[str, Any]]:
    """What the group may do at the hub; nothing where there is no JupyterLab."""
    if lab.refusal(settings):
        return []
    scopes = ["servers!user", "read:servers!user", "access:servers!user", "users:activity!user"]
    return [{"name": "jupyterlab", "groups": [GROUP], "scopes": scopes}]


def configure(c: Config, settings: Settings) -> None:
    """Servers as leads and admins get them, each at a host name of its own."""
    c.Authenticator.manage_groups = True
    c.JupyterHub.spawner_class = OwnServer
    c.OwnServer.settings = settings
    if lab.refusal(settings):
        return
    c.JupyterHub.subdomain_host = settings.origin
    c.JupyterHub.subdomain_hook = Hosts(lab.host(settings))
    c.JupyterHub.active_server_limit = MOST_SERVERS
    c.JupyterHub.shutdown_on_logout = True
    c.Authenticator.refresh_pre_spawn = True
    c.Spawner.cmd = [sys.executable, "-I", "-m", "agent_analytics.serving.lab_start"]
    c.Spawner.default_url = "/lab"
    c.Spawner.env_keep = []
    # One that does not want to end must not stay.
    c.OwnServer.interrupt_timeout = c.OwnServer.term_timeout = SECONDS_TO_END
    c.Spawner.start_timeout = c.Spawner.http_timeout = SECONDS_TO_START


@dataclass(frozen=True)
class Hosts:
    """The hub's way to name hosts: our services stay at the main one, and each person's server has its own."""

    main: str

    def __call__(self, name: str, domain: str, kind: str) -> str:
        return f"{name}.{self.main}" if kind == "user" else self.main


class NoServer(Exception):
    """Why no server starts, as the hub's page tells it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.jupyterhub_message = reason


class OwnServer(LocalProcessSpawner):
    """A server under an account that is the person's alone, in a home that is closed to all others.

    It is of use while the person is whom it was started for: other rights are another server's.
    """

    settings = AnyTrait(help="The installation's Settings.").tag(config=True)
    principal: Any = None
    login: Any = None

    async def start(self) -> Any:
        reason = lab.refusal(self.settings)
        if reason:
            raise NoServer(reason)
        if rhythm.is_stale(_verified_at(self.user.user_info), datetime.now(UTC)):
            raise NoServer("Your rights could not be checked just now, and a new server wants them checked. Try later.")
        self.principal = _principal(self.user.user_info)
        await to_thread(self._give_passes)
        home = self.home
        silent = dict.fromkeys(("stdin", "stdout", "stderr"), DEVNULL)
        self.popen_kwargs = accounts.identity(lab_homes.account_of(home)) | silent | {"cwd": home}
        return await super().start()

    async def stop(self, now: bool = False) -> None:
        login = self.login
        await super().stop(now=now)
        accounts.end_all(lab_homes.account_of(self.home))
        lab_homes.take_passes(self.settings, self.user.name)
        if login:
            await to_thread(logins.end, self._record, login)

    def renew(self, now: datetime, verified_at: datetime) -> None:
        """Let the passes of a running server last a little longer. Raises RecordUnavailable."""
        principal = Principal.from_json(self.principal)
        self._give_token(principal, now, verified_at)
        try:
            logins.renew(self._record, self.login, principal, now, rhythm.TOKEN)
        except Forbidden:
            # The rights are the same, so its time was over: PostgreSQL was away.
            self._give_login(principal, now, rhythm.TOKEN)

    def _give_passes(self) -> None:
        now, principal = datetime.now(UTC), Principal.from_json(self.principal)
        self._give_login(principal, now, rhythm.TOKEN + SECONDS_TO_START)
        self._give_token(principal, now, now)

    def _give_token(self, principal: Principal, now: datetime, verified_at: datetime) -> None:
        token = tokens.issue(self.settings.home, principal, now, verified_at=verified_at)
        lab_homes.give_pass(self.settings, self.user.name, TOKEN, token)

    def _give_login(self, principal: Principal, now: datetime, seconds: int) -> None:
        """What a person does by SQL is in no audit; that they have a login is."""
        login = logins.issue(self._record, principal, now, seconds, self.settings.sql_seconds)
        self.login = login.name
        with Record(self._record, self.settings.home) as record:
            actor = audit.Actor.of(principal, "sql")
            audit.write(record, audit.Event("sql.login", actor, principal.organization, login.name))
        lab_homes.give_pass(self.settings, self.user.name, LOGIN, login.url(self.settings))

    @property
    def _record(self) -> str:
        return postgres.record_url(self.settings)

    @property
    def home(self) -> Path:
        return lab_homes.home_of(self.settings, self.user.name)

    def make_preexec_fn(self, name: str) -> None:
        """Popen itself changes the account, and what it starts confines itself."""

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        return env | {
            "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
            "LANG": "C.UTF-8",
            "SHELL": "/bin/sh",
            "USER": self.user.name,
            "HOME": str(self.home),
            API_URL: f"http://127.0.0.1:{self.settings.port_of('api')}/services/api",
            TOKEN_FILE: str(lab_homes.pass_of(self.settings, self.user.name, TOKEN)),
            SQL_FILE: str(lab_homes.pass_of(self.settings, self.user.name, LOGIN)),
        }

    def get_state(self) -> dict[str, Any]:
        return super().get_state() | {"principal": self.principal, "login": self.login}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self.principal, self.login = state.get("principal"), state.get("login")

    def clear_state(self) -> None:
        super().clear_state()
        self.principal = self.login = None


async def sweep(app: JupyterHub) -> None:
    """End the servers of people who are signed out, or no longer whom their server was started for."""
    running = [user for user in list(app.users.values()) if user.active and not user.spawner.pending]
    await gather(*(_check(app, user) for user in running))


async def _check(app: JupyterHub, user: User) -> None:
    """A server's own traffic asks nobody: an open websocket would outlive every right."""
    try:
        model = await app.authenticator.refresh_user(user, None)
        info = model["user_info"] if isinstance(model, dict) else user.user_info
        if model and _principal(info) == user.spawner.principal:
            return await to_thread(user.spawner.renew, datetime.now(UTC), _verified_at(info))
        app.log.warning("The server of %s ends: its rights are no longer those it was started with.", user.name)
    except RecordUnavailable as error:
        app.log.warning("The database login of %s could not be renewed. %s", user.name, error)
        return None
    except Exception:
        app.log.exception("The server of %s ends: it could not be checked", user.name)
    # Not waited for: others' passes must be renewed meanwhile.
    ending = create_task(user.stop(user.spawner.name))
    _ending.add(ending)
    ending.add_done_callback(_ending.discard)


def _verified_at(user_info: dict[str, Any] | None) -> datetime:
    return datetime.fromtimestamp((user_info or {}).get("verified_at", 0), UTC)


def _principal(user_info: dict[str, Any] | None) -> Any:
    return (user_info or {}).get("agent_analytics")
