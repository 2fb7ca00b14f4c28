"""The record: PostgreSQL under row security, asked by two accounts of our own.

`service` sees the one organization that its transaction names; `unscoped` reads every organization and is
asked for only where the scope is all of them.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from agent_analytics import keys
from agent_analytics.compile import Row, Run, Statement
from agent_analytics.errors import RecordUnavailable
from agent_analytics.migrations import HEAD

SERVICE = "agent_analytics_service"
UNSCOPED = "agent_analytics_unscoped"
SNAPSHOT = "agent-analytics-snapshot"

Connection = psycopg.Connection[tuple[Any, ...]]


def passwords(home: Path) -> dict[str, str]:
    """Our database accounts' passwords, made at first use."""
    return {account: keys.secret(home, f"database-{account}") for account in (SERVICE, UNSCOPED)}


def account_url(url: str, account: str, password: str) -> str:
    """The same server and database, under another account."""
    parts = urlsplit(url)
    _, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{account}:{quote(password, safe='')}@{host}"))


class Record:
    """Two small pools of connections, opened when first needed."""

    name = "record"
    cubes = False

    def __init__(self, url: str, home: Path, size: int = 4) -> None:
        self._urls = {account: account_url(url, account, password) for account, password in passwords(home).items()}
        self._pools = {
            account: ConnectionPool(
                own_url,
                min_size=0,
                max_size=size,
                timeout=10,
                open=False,
                kwargs={"application_name": "agent-analytics"},
                name=account,
            )
            for account, own_url in self._urls.items()
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()

    @contextmanager
    def organization(self, organization: str) -> Iterator[Connection]:
        """A transaction that sees and writes this organization alone; it can move on by `enter`."""
        with self._transaction(SERVICE) as connection:
            enter(connection, organization)
            yield connection

    @contextmanager
    def unscoped_reader(self) -> Iterator[Connection]:
        """A transaction that reads every organization."""
        with self._transaction(UNSCOPED) as connection:
            yield connection

    @contextmanager
    def _transaction(self, account: str) -> Iterator[Connection]:
        pool = self._pools[account]
        try:
            pool.open()
            with pool.connection() as connection:
                yield connection
        except (PoolTimeout, psycopg.OperationalError) as error:
            raise _unavailable(error) from error

    @contextmanager
    def snapshot(self, organization: str | None) -> Iterator[Connection]:
        """A transaction that reads one moment of this organization or, for None, of every one, however long it takes.

        Its connection is its own: a reader that takes hours must not keep the pools from those who want an answer.
        """
        account = UNSCOPED if organization is None else SERVICE
        try:
            with psycopg.connect(self._urls[account], connect_timeout=10, application_name=SNAPSHOT) as connection:
                _read_one_moment(connection, organization)
                yield connection
        except psycopg.OperationalError as error:
            raise _unavailable(error) from error

    def as_of(self, now: datetime) -> datetime:
        """The record is always as of now."""
        return now

    @contextmanager
    def reading(self, organization: str | None) -> Iterator[Run]:
        """All statements that are run see the same moment of this organization or, for None, of every one."""
        with self._transaction(UNSCOPED if organization is None else SERVICE) as connection:
            _read_one_moment(connection, organization)
            yield partial(run, connection)

    def zone(self, organization: str) -> str | None:
        """The organization's time zone; None where it has never sent anything."""
        with self.organization(organization) as connection:
            row = connection.execute("select timezone from analytics.organizations").fetchone()
        return row[0] if row else None

    def wait(self, seconds: float) -> None:
        """Return when the record answers with our schema; raises RecordUnavailable after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self._check_schema()
            except RecordUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _check_schema(self) -> None:
        """By a connection of its own: a pool would go on trying in the background."""
        try:
            with psycopg.connect(self._urls[UNSCOPED], connect_timeout=5) as connection:
                row = connection.execute("select version_num from public.schema_version").fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidCatalogName):
            row = None
        except psycopg.OperationalError as error:
            raise _unavailable(error) from None
        if row != (HEAD,):
            raise RecordUnavailable(f"The record's schema is not at version {HEAD}. Run: agent-analytics migrate")


def run(connection: Connection, statement: Statement) -> list[Row]:
    with psycopg.RawCursor(connection) as cursor:
        return cursor.execute(statement.text, statement.values).fetchall()


def _read_one_moment(connection: Connection, organization: str | None) -> None:
    connection.execute("set transaction isolation level repeatable read, read only")
    if organization is not None:
        enter(connection, organization)


def _unavailable(error: Exception) -> RecordUnavailable:
    return RecordUnavailable(f"PostgreSQL does not answer: {str(error).splitlines()[0]}")


def enter(connection: Connection, organization: str) -> None:
    """From here to its end, let a transaction of `service` see and write this organization alone."""
    connection.execute("select set_config('app.organization', %s, true)", [organization])
