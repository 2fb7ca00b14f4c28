"""People's own database logins: made when someone opens JupyterLab, ending by themselves, of opaque names.

The row in `analytics.logins` is the truth: without it, or past its time, a login reads nothing. Roles belong to
the whole server, so each of ours says in its comment which database it was made for, and nothing else.
"""

import logging
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from agent_analytics.errors import Forbidden, RecordUnavailable
from agent_analytics.migrations import verifier
from agent_analytics.scope import Principal
from agent_analytics.serving import cluster, lab, postgres
from agent_analytics.settings import SQL_SECONDS, Settings
from agent_analytics.sql import ENDED

PEOPLE = "agent_analytics_people"
MOST_CONNECTIONS = 5
MOST_TEMPORARY = "1GB"
NAME = re.compile(r"aa_[0-9a-f]{16}")
_MARK = "select 'agent_analytics login of database ' || oid from pg_database where datname = current_database()"
# Of the administrator's own URL people are told how to reach the server, and never a password, file or option.
_WAY = ("host", "hostaddr", "port", "sslmode", "sslrootcert", "sslnegotiation", "channel_binding", "connect_timeout")
_SECONDS_TO_GO = 5
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Login:
    """A database account of one person; the password is nowhere else."""

    name: str
    password: str = field(repr=False)
    expires_at: datetime

    def url(self, settings: Settings) -> str:
        """How this person reaches the record, by the embedded server's socket for people or at your own server."""
        way = {key: value for key, value in conninfo_to_dict(postgres.record_url(settings)).items() if value}
        if not settings.database_url:
            way["host"] = str(cluster.people_place(settings.home))
        query = urlencode({key: way[key] for key in _WAY if key in way}, quote_via=quote)
        return f"postgresql://{self.name}:{self.password}@/{quote(str(way.get('dbname', '')), safe='')}?{query}"


def issue(url: str, principal: Principal, now: datetime, seconds: float, limit: int = SQL_SECONDS) -> Login:
    """A login with the principal's rights until `seconds` after `now`.

    `url` is an account that may create roles; `limit` is the courtesy timeout of a statement, in seconds.
    Raises Forbidden for a role that has none, RecordUnavailable where PostgreSQL does not answer or refuses.
    """
    if principal.role not in lab.ROLES:
        raise Forbidden(f"SQL is for {' and '.join(lab.ROLES)}; {principal.role} asks by session.answer(...).")
    login = Login(f"aa_{secrets.token_hex(8)}", secrets.token_urlsafe(32), now + timedelta(seconds=seconds))
    with _admin(url) as connection, connection.transaction():
        _create(connection, login, limit)
        connection.execute(
            'insert into analytics.logins (login, organization, "user", role, teams, expires_at)'
            " values (%(login)s, %(organization)s, %(user)s, %(role)s, %(teams)s, %(expires)s)",
            {**_rights(principal), "login": login.name, "expires": login.expires_at},
        )
    return login


def renew(url: str, name: str, principal: Principal, now: datetime, seconds: float) -> datetime:
    """Let a login last until `seconds` after `now`, and return when that is.

    One whose person's rights are no longer the same, or whose time is over, is ended: raises Forbidden.
    """
    expires = now + timedelta(seconds=seconds)
    with _admin(url) as connection:
        with connection.transaction():
            kept = connection.execute(
                "update analytics.logins set expires_at = %(expires)s where login = %(login)s"
                ' and organization = %(organization)s and "user" is not distinct from %(user)s'
                " and role = %(role)s and teams = %(teams)s::text[] and expires_at > %(now)s",
                {**_rights(principal), "login": name, "expires": expires, "now": now},
            ).rowcount
            if kept:
                statement = sql.SQL("alter role {} valid until {}")
                connection.execute(statement.format(sql.Identifier(name), expires.isoformat()))
        if not kept:
            _end(connection, name)
            raise Forbidden(ENDED)
    return expires


def end(url: str, name: str) -> None:
    """Take a login's rights, end what it runs, and drop it; one that has gone already is no error."""
    with _admin(url) as connection:
        _end(connection, name)


def sweep(url: str, now: datetime) -> list[str]:
    """End the logins whose time is over, and the halves that a crash or a dropped database left. Their names."""
    with _admin(url) as connection:
        names = [row[0] for row in connection.execute(_TO_SWEEP, {"now": now, "mark": mark(connection)})]
        for name in names:
            _end(connection, name)
    return names


_TO_SWEEP = r"""
with ours as (
  select rolname, shobj_description(oid, 'pg_authid') as mark from pg_roles where rolname ~ '^aa_[0-9a-f]{16}$'
)
select coalesce(rolname, login)
from (select * from ours where mark = %(mark)s) as mine
full join analytics.logins on login = rolname
where rolname is null or login is null or expires_at <= %(now)s
union all
select rolname from ours
where mark like 'agent\_analytics login of database %%' and pg_has_role(rolname, 'usage')
  and not exists (select from pg_database where mark like '%% ' || oid)
"""


def mark(connection: psycopg.Connection[Any]) -> str:
    """What the comment of every login of this database says."""
    row = connection.execute(_MARK).fetchone()
    assert row is not None  # noqa: S101 - we are connected to it
    return str(row[0])


@contextmanager
def _admin(url: str) -> Iterator[psycopg.Connection[Any]]:
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            yield connection
    except psycopg.errors.InsufficientPrivilege as error:
        raise RecordUnavailable(
            f"PostgreSQL refuses to keep people's logins: {_line(error)}. The account of "
            "AGENT_ANALYTICS_DATABASE_URL must be allowed to create roles, and be the one that ran `migrate`."
        ) from None
    except psycopg.OperationalError as error:
        raise RecordUnavailable(f"PostgreSQL does not answer: {_line(error)}") from None


def _rights(principal: Principal) -> Mapping[str, Any]:
    """What a login may read depends on these alone."""
    teams = sorted(set(principal.teams)) if principal.role == "TEAM_LEAD" else []
    return {"organization": principal.organization, "user": principal.user, "role": principal.role, "teams": teams}


def _create(connection: psycopg.Connection[Any], login: Login, limit: int) -> None:
    """A role that may log in, read and little else. It can undo what is set here by courtesy, so the watchdog looks."""
    role, word = sql.Identifier(login.name), verifier(connection, login.name, login.password)
    statement = sql.SQL("create role {} login connection limit {} password {} valid until {} in role {}")
    until, group = login.expires_at.isoformat(), sql.Identifier(PEOPLE)
    connection.execute(statement.format(role, MOST_CONNECTIONS, word, until, group))
    for setting, value in _courtesies(connection, limit).items():
        connection.execute(sql.SQL("alter role {} set {} to {}").format(role, sql.Identifier(setting), value))
    connection.execute(sql.SQL("comment on role {} is {}").format(role, mark(connection)))
    if not _is_superuser(connection):
        # Without a superuser's rights, only a member of a role may see and end what it runs.
        connection.execute(sql.SQL("grant {} to {}").format(role, sql.Identifier(connection.info.user)))


def _courtesies(connection: psycopg.Connection[Any], limit: int) -> dict[str, str]:
    """The limit of temporary files holds where we may set it: only a superuser can lift that one."""
    settings = {
        "default_transaction_read_only": "on",
        "statement_timeout": f"{limit}s",
        "idle_in_transaction_session_timeout": f"{limit}s",
        "work_mem": "32MB",
    }
    row = connection.execute("select has_parameter_privilege('temp_file_limit', 'set')").fetchone()
    return settings | ({"temp_file_limit": MOST_TEMPORARY} if row and row[0] else {})


def _end(connection: psycopg.Connection[Any], name: str) -> None:
    """First no way in and no rights, then no session, then no role."""
    if not NAME.fullmatch(name):
        raise Forbidden(f"{name!r} is not a person's database login.")
    found = connection.execute("select from pg_roles where rolname = %s", [name]).fetchone() is not None
    with connection.transaction():
        if found:
            connection.execute(sql.SQL("alter role {} nologin").format(sql.Identifier(name)))
        connection.execute("delete from analytics.logins where login = %s", [name])
    if not found:
        return
    connection.execute(
        "select pg_terminate_backend(pid, %s) from pg_stat_activity"
        " where usename = %s and backend_type = 'client backend'",
        [_SECONDS_TO_GO * 1000, name],
    )
    try:
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))
    except psycopg.errors.DependentObjectsStillExist as error:
        # On a server where everyone may make large objects, say. It cannot log in and reads nothing.
        log.warning("The login %s has ended but cannot be dropped: %s", name, _line(error))


def _is_superuser(connection: psycopg.Connection[Any]) -> bool:
    return connection.info.parameter_status("is_superuser") == "on"


def _line(error: psycopg.Error) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
