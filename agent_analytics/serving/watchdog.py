"""Ends what people's database logins run too long, whatever they set for themselves; and logins that have expired."""

import logging
import threading
from datetime import UTC, datetime
from typing import Any, Self

import psycopg
from psycopg import sql

from agent_analytics.errors import AgentAnalyticsError
from agent_analytics.serving import logins
from agent_analytics.settings import SQL_SECONDS

EVERY = 1.0
SWEEP_EVERY = 10.0
MOST_TEMPORARY_BYTES = 2 * 2**30
_TEMPORARY = sql.SQL(
    r"select substring(name from '^pgsql_tmp(\d+)\.')::int as pid, sum(size) as bytes from pg_ls_tmpdir() group by 1"
)
_NOT_SEEN = sql.SQL("select null::int as pid, null::numeric as bytes")
# A transaction counts as a whole: many short statements in one hold old rows as long as one long statement does.
_FOUND = """
with temporary as ({temporary}),
advisory as (select distinct pid from pg_locks where locktype = 'advisory'),
sessions as (
  select pid, usename, state, xact_start, clock_timestamp() - xact_start as age
  from pg_stat_activity
  where backend_type = 'client backend' and shobj_description(usesysid, 'pg_authid') = %(mark)s
),
judged as (
  select sessions.*, logins.organization, logins."user",
    case
      when logins.login is null or logins.expires_at <= clock_timestamp() then 'its login has ended'
      when age > make_interval(secs => %(seconds)s) then 'too long'
      when advisory.pid is not null then 'it holds an advisory lock'
      when temporary.bytes > %(bytes)s then 'too many temporary files'
    end as reason
  from sessions
  left join analytics.logins on login = usename
  left join advisory using (pid)
  left join temporary using (pid)
)
select pid, usename, coalesce(organization, '?'), coalesce("user", '?'), extract(epoch from coalesce(age, '0'))::float,
  reason, state = 'active' and reason = 'too long', xact_start
from judged
where reason is not null
"""
_CANCEL, _TERMINATE = "select pg_cancel_backend(%s)", "select pg_terminate_backend(%s)"
log = logging.getLogger(__name__)


class Watchdog:
    """A thread with a connection of its own at `url`, an account that may end people's sessions.

    `seconds` is the longest that a transaction of theirs may last. It survives the server's restarts.
    """

    def __init__(
        self, url: str, seconds: float = SQL_SECONDS, bytes: int = MOST_TEMPORARY_BYTES, every: float = EVERY
    ) -> None:
        self._url, self._limits, self._every = url, {"seconds": seconds, "bytes": bytes}, every
        self._asked: set[tuple[int, datetime]] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sql-watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                with psycopg.connect(
                    self._url, autocommit=True, connect_timeout=5, application_name="agent-analytics-watchdog"
                ) as connection:
                    self._rounds(connection)
            except (psycopg.Error, AgentAnalyticsError) as error:
                log.warning("The watchdog of people's SQL could not look: %s", (str(error) or "?").splitlines()[0])
                self._stopping.wait(self._every)

    def _rounds(self, connection: psycopg.Connection[Any]) -> None:
        query, limits, until_swept = _query(connection), {**self._limits, "mark": logins.mark(connection)}, 0.0
        while not self._stopping.is_set():
            self._end(connection, connection.execute(query, limits).fetchall())
            if until_swept <= 0:
                _sweep(self._url)
                until_swept = SWEEP_EVERY
            until_swept -= self._every
            self._stopping.wait(self._every)

    def _end(self, connection: psycopg.Connection[Any], found: list[tuple[Any, ...]]) -> None:
        """A query is asked to end; one that goes on, and all else, ends with its session."""
        asked = set()
        for pid, login, organization, user, seconds, reason, active, started in found:
            politely = active and (pid, started) not in self._asked
            if politely:
                asked.add((pid, started))
            connection.execute(_CANCEL if politely else _TERMINATE, [pid])
            what = "query" if politely else "session"
            log.warning("Ended a %s of %s (%s, %s): %s, %.0f s.", what, login, organization, user, reason, seconds)
        self._asked = asked


def _query(connection: psycopg.Connection[Any]) -> sql.Composed:
    """With the sizes of temporary files, where our account may list them."""
    row = connection.execute("select has_function_privilege('pg_ls_tmpdir()', 'execute')").fetchone()
    temporary = _TEMPORARY if row and row[0] else _NOT_SEEN
    return sql.SQL(_FOUND).format(temporary=temporary)


def _sweep(url: str) -> None:
    for name in logins.sweep(url, datetime.now(UTC)):
        log.info("Ended the login %s, whose time was over.", name)
