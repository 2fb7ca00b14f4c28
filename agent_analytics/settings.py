"""Settings from the environment, read at the edges only: commands and the processes' entry points."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from agent_analytics.errors import SettingError
from agent_analytics.groups import Grant, read_groups

PREFIX = "AGENT_ANALYTICS_"
SQL_SECONDS = 60
PROCESSES_BEHIND = ("hub", "proxy-api", "api", "dashboards", "provider", "inbox")


def _port(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text) or not 1024 <= int(text) <= 65000:
        raise ValueError("a port from 1024 to 65000")
    return int(text)


def _seconds(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text) or not 1 <= int(text) <= 86_400:
        raise ValueError("a number of seconds from 1 to 86400")
    return int(text)


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,2}", text):
        raise ValueError("a number from 1 to 999")
    return int(text)


def _account(text: str) -> int:
    if not re.fullmatch(r"\d{1,10}", text) or not 1000 <= int(text) < 2**31 - 2000:
        raise ValueError("a user id of 1000 or more")
    return int(text)


def _database_url(text: str) -> str:
    if not re.match(r"postgres(ql)?://", text):
        raise ValueError("a URL like postgresql://user:password@host:5432/database")
    return text


def _http_url(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+[^\s?#]*", text):
        raise ValueError("a URL like https://id.example.com")
    return text.rstrip("/")


def _switch(text: str) -> bool:
    if text not in ("on", "off"):
        raise ValueError("on or off")
    return text == "on"


def _minutes(text: str) -> int:
    if not re.fullmatch(r"\d{1,4}", text) or int(text) > 1440:
        raise ValueError("minutes from 0 to 1440")
    return int(text)


def _claim(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][\w:/.-]{0,254}", text):
        raise ValueError("the name of a claim")
    return text


def _setting(default: Any, help: str, parse: Callable[[str], Any] = str, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"help": help, "parse": parse, "secret": secret})


@dataclass(frozen=True)
class Settings:
    """One installation's settings; `docs/settings.md` is generated from this class."""

    home: Path = _setting(
        None,
        "Where all state lives: database, cache, keys, logs. "
        "Default: `/var/lib/agent-analytics` for root, else `~/.local/share/agent-analytics`.",
        lambda text: Path(text).expanduser().absolute(),
    )
    database_url: str | None = _setting(
        None,
        "A PostgreSQL server, version 15 or newer, to use in place of the embedded one.",
        _database_url,
        secret=True,
    )
    port: int = _setting(8000, "The public port. The processes behind it take the six ports after it.", _port)
    public_url: str | None = _setting(
        None, "The origin that browsers use, where it is not `http://localhost:<port>`.", _http_url
    )
    jupyterlab: bool | None = _setting(
        None,
        "`on` or `off`: JupyterLab for leads and admins, each person's at `<name>.<public host>`: DNS and TLS must "
        "lead these names here too. Default: on where no public URL is set.",
        _switch,
    )
    oidc_issuer: str | None = _setting(None, "The identity provider's issuer URL. `demo` brings its own.", _http_url)
    oidc_client_id: str = _setting("agent-analytics", "Our client id at the identity provider.")
    oidc_client_secret: str | None = _setting(None, "Our client secret there.", secret=True)
    claim_organization: str = _setting(
        "organization",
        "The claim that names the person's organization. A claim within claims is named by its path, with dots: "
        "`realm_access.roles`; one of exactly that name comes first.",
        _claim,
    )
    claim_role: str = _setting("role", "The claim that holds the person's one role.", _claim)
    claim_teams: str = _setting("teams", "The claim that lists the person's teams.", _claim)
    claim_user: str = _setting("sub", "The claim that equals the run record's `user`.", _claim)
    sql_seconds: int = _setting(
        SQL_SECONDS, "The longest that a transaction of a person's own SQL may last, in seconds.", _seconds
    )
    claim_groups: str = _setting(
        "groups", "The claim that lists the person's groups, or their roles there, of which `GROUPS` speaks.", _claim
    )
    groups: Mapping[str, Grant] | None = _setting(
        None,
        "What each group gives, as JSON or as the path of a JSON file: "
        '`{"acme-leads": {"role": "TEAM_LEAD"}, "team-*": {"team": "*"}}`. [How](running.md#groups).',
        read_groups,
    )
    api_audience: str = _setting(
        "agent-analytics-api", "The audience of the provider's access tokens that the API takes from machine clients."
    )
    grace_minutes: int = _setting(
        15,
        "How long the rights that were verified last still serve for reading while the identity provider cannot be "
        "reached. 0: not at all.",
        _minutes,
    )
    kernels_per_person: int = _setting(8, "How many pages one person may have open at a time.", _count)
    kernels: int = _setting(40, "How many pages may be open at a time in all; each takes about 130 MB.", _count)
    first_account: int = _setting(
        50000,
        "As root: the first of 2,000 user ids that nothing else has. "
        "Kernels run under the first thousand, people's own servers under the second.",
        _account,
    )

    def port_of(self, process: str) -> int:
        """The port that a process behind the proxy listens on, on loopback only."""
        return self.port + 1 + PROCESSES_BEHIND.index(process)

    @property
    def origin(self) -> str:
        """The scheme, host and port that browsers use."""
        return self.public_url or f"http://localhost:{self.port}"

    @property
    def is_https(self) -> bool:
        """Whether browsers reach us by TLS alone."""
        return self.origin.startswith("https:")


def read(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of an environment; raises SettingError for a value that cannot be used."""
    values = {}
    for setting in fields(Settings):
        name = PREFIX + setting.name.upper()
        text = environ.get(name, "")
        if text:
            values[setting.name] = _parse(name, text, setting.metadata)
    values.setdefault("home", default_home(environ))
    settings = Settings(**values)
    if settings.api_audience == settings.oidc_client_id:
        raise SettingError(
            f"{PREFIX}API_AUDIENCE must not be the client id: a token for signing in would open the API."
        )
    return settings


def _parse(name: str, text: str, metadata: Mapping[str, Any]) -> Any:
    try:
        return metadata["parse"](text)
    except ValueError as error:
        shown = "the value" if metadata["secret"] else repr(text)
        raise SettingError(f"{name}: {shown} is not {error}.") from None


def default_home(environ: Mapping[str, str]) -> Path:
    """Where state lives if nothing is set: for root a directory that unprivileged accounts can reach."""
    if os.geteuid() == 0:
        return Path("/var/lib/agent-analytics")
    base = environ.get("XDG_DATA_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".local" / "share")
    return Path(base) / "agent-analytics"
