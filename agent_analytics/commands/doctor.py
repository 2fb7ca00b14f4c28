"""agent-analytics doctor"""

import argparse
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from agent_analytics.catalog import MEASURES
from agent_analytics.commands.asking import asking, record_of
from agent_analytics.compile import Row
from agent_analytics.errors import AgentAnalyticsError
from agent_analytics.organizations import unscoped_list
from agent_analytics.period import MOST_DAYS, Days
from agent_analytics.query import Query
from agent_analytics.scope import Principal
from agent_analytics.serving import accounts, lab, proxy
from agent_analytics.serving.logins import PEOPLE
from agent_analytics.settings import Settings
from agent_analytics.store import Record

# Runs may come in between the two questions: only a difference that stays is one.
TRIES = 5
ADDING = tuple(name for name, measure in MEASURES.items() if measure.adds)


class Doubt(str):
    """What a check has found that is no failure, and that somebody should know."""


def add_options(parser: argparse.ArgumentParser, name: str) -> None:
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """One line for each check, ok, warn or FAIL; exit status 1 where one failed."""
    failed = False
    with record_of(settings) as record:
        for name, check in _checks(settings, record):
            try:
                said = check()
                print(f"{'warn' if isinstance(said, Doubt) else 'ok  '}  {name}: {said}")
            except AgentAnalyticsError as error:
                failed = True
                print(f"FAIL  {name}: {error}")
    return int(failed)


def _checks(settings: Settings, record: Record) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "home", lambda: str(settings.home)
    yield "account", lambda: _account(settings)
    yield "database", lambda: _server(record)
    yield "SQL of people", lambda: _open_to_people(record)
    yield "JupyterLab", lambda: _lab(settings)
    yield "node", lambda: str(proxy.node())
    for each in unscoped_list(record):
        yield f"cache of {each.organization}", lambda slug=each.organization: _compare(settings, slug)  # type: ignore[misc]


def _account(settings: Settings) -> str:
    if not accounts.available():
        return Doubt(accounts.SHARED)
    accounts.check(settings)
    ids = accounts.of_kernels(settings)
    return f"root; PostgreSQL and each kernel run under accounts of their own (kernels: {ids[0]} to {ids[-1]})"


def _server(record: Record) -> str:
    with record.unscoped_reader() as connection:
        row = connection.execute("select current_setting('server_version')").fetchone()
    return f"PostgreSQL {row[0] if row else '?'}"


def _lab(settings: Settings) -> str:
    reason = lab.refusal(settings)
    return Doubt(f"off. {reason}") if reason else f"for leads and admins, at host names below {lab.host(settings)}"


def _open_to_people(record: Record) -> str:
    """What the server lets everyone do, people's logins too, because our account may not take it away."""
    with record.unscoped_reader() as connection:
        found = [name for (name,) in connection.execute(_OPEN, {"people": PEOPLE})]
    if not found:
        return "their logins read their own rows, and can do nothing else"
    return (
        f"their logins can also use {', '.join(found)}, because this server lets everyone; "
        "a superuser takes that away by running `agent-analytics migrate`, for databases by REVOKE CONNECT"
    )


_OPEN = """
select name from (values
  ('temporary tables', has_database_privilege(%(people)s, current_database(), 'temporary')),
  ('large objects', has_function_privilege(%(people)s, 'lo_create(oid)', 'execute')),
  ('advisory locks', has_function_privilege(%(people)s, 'pg_advisory_lock(bigint)', 'execute')),
  ('DO blocks', has_language_privilege(%(people)s, 'plpgsql', 'usage')),
  ('new tables in public', has_schema_privilege(%(people)s, 'public', 'create'))
) as privileges (name, granted) where granted
union all
select 'the database ' || datname from pg_database
where datallowconn and datname <> current_database() and has_database_privilege(%(people)s, oid, 'connect')
"""


def _compare(settings: Settings, organization: str) -> str:
    """Every figure that adds up, of each of the last 366 days of one organization, from both engines."""
    today = datetime.now(UTC).date()
    query = Query(ADDING, ["day"], period=Days(today - timedelta(days=MOST_DAYS - 1), today))
    for _ in range(TRIES):
        cached, recorded = (_rows(settings, organization, engine, query) for engine in ("cache", "record"))
        if cached == recorded:
            return f"equals the record ({sum(row[1] for row in cached):,} runs in {MOST_DAYS} days)"
        time.sleep(1)
    day, *_ = min(set(cached) ^ set(recorded), key=lambda row: row[0])
    raise AgentAnalyticsError(f"differs from the record, first on {day}; delete <home>/cache to have it made anew.")


def _rows(settings: Settings, organization: str, engine: str, query: Query) -> tuple[Row, ...]:
    with asking(settings, Principal("ORG_ADMIN", organization), engine) as ask:
        return ask(query).rows
