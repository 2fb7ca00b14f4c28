"""The read cache: the runs in columns, in one DuckDB file that one process owns.

It follows the record by change and replaces whole (organization, day) pieces; whatever is wrong with it, it
can be thrown away and built again.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any, Self

import duckdb
from psycopg import sql
from sqlalchemy.dialects import postgresql

from agent_analytics.compile import Statement
from agent_analytics.errors import ServiceError
from agent_analytics.store import Connection, Record
from agent_analytics.tables import local_runs

VERSION = 1
# Free text of single runs is read from the record, by its key.
LEFT_OUT = ("error_message", "attributes")
_COLUMNS = [column for column in local_runs.columns if column.name not in LEFT_OUT]
_TYPES = {column.name: column.type.compile(postgresql.dialect()) for column in _COLUMNS}
# More single days than this of one organization are cheaper read as the whole organization.
_MOST_DAYS = 100

Pieces = dict[str, set[date | None]]


class CacheInUse(ServiceError):
    """Another process owns the cache file."""


class Cache:
    """Open one with `Cache.open`; `follow` brings it up to the record."""

    name = "cache"

    def __init__(self, database: duckdb.DuckDBPyConnection) -> None:
        self._database = database
        self._writing = threading.Lock()
        self._as_of: datetime | None = None
        self._seen: tuple[str, int] | None = None
        # Changes above the horizon that are taken already: a slow transaction holds the horizon back.
        self._taken: set[int] = set()

    @classmethod
    def open(cls, path: Path) -> Self:
        """The cache at `path`, made anew where it is absent, corrupt or of another version.

        Raises CacheInUse while another process has it open.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        database = _connect(path)
        if database is None:
            _remove(path)
            database = duckdb.connect(str(path))
            _create(database)
        return cls(database)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with self._writing:
            self._database.close()

    @property
    def ready(self) -> bool:
        """Whether it has followed the record at least once since it was opened."""
        return self._as_of is not None

    def as_of(self, now: datetime) -> datetime:
        if self._as_of is None:
            raise ServiceError("The cache has not read the record yet.")
        return self._as_of

    def run(self, statement: Statement, organization: str | None) -> list[tuple[Any, ...]]:
        """The statement's rows. The scope is in the statement; DuckDB has no row security."""
        return self._database.cursor().execute(statement.text, statement.values).fetchall()

    def zone(self, organization: str) -> str | None:
        """The organization's time zone as the cached days follow it; None where it has never sent anything."""
        found = self._database.cursor().execute(
            "select timezone from analytics.organizations where organization = $1", [organization]
        )
        row = found.fetchone()
        return row[0] if row else None

    def follow(self, record: Record) -> int:
        """Take over all that is committed in the record; the number of (organization, day) pieces replaced."""
        with self._writing, record.unscoped_reader() as source:
            source.execute("set transaction isolation level repeatable read, read only")
            source.execute("set local timezone to 'UTC'")
            origin, horizon, as_of = _position(source)
            seen = self._horizon(origin)
            changed = {} if seen is None else _changed(source, seen)
            pieces = _everything(source) if seen is None else _pieces(changed, without=self._taken)
            if pieces or seen is None:
                self._replace(source, pieces, (origin, horizon), whole=seen is None)
            self._seen, self._taken, self._as_of = (origin, horizon), set(changed), as_of
        return sum(len(days) for days in pieces.values())

    def _horizon(self, origin: str) -> int | None:
        """Below which transaction this cache has all of that record; None if it has never read it."""
        if self._seen is not None and self._seen[0] == origin:
            return self._seen[1]
        row = self._database.execute("select horizon from analytics.position where origin = $1", [origin]).fetchone()
        return None if row is None else row[0]

    def _replace(self, source: Connection, pieces: Pieces, position: tuple[str, int], whole: bool) -> None:
        with NamedTemporaryFile(suffix=".csv") as file:
            _copy_runs(source, pieces, file)
            zones = source.execute("select organization, timezone from analytics.organizations").fetchall()
            with _Transaction(self._database):
                self._remove_pieces(pieces, whole)
                self._database.execute(_INSERT, [file.name])
                self._database.execute("delete from analytics.organizations")
                if zones:
                    self._database.executemany("insert into analytics.organizations values ($1, $2)", zones)
                self._database.execute("delete from analytics.position")
                self._database.execute("insert into analytics.position values ($1, $2)", position)

    def _remove_pieces(self, pieces: Pieces, whole: bool) -> None:
        if whole:
            self._database.execute("delete from analytics.local_runs")
            return
        for organization, days in pieces.items():
            within = "" if None in days else " and day in (select unnest($2))"
            values = [organization] if None in days else [organization, sorted(day for day in days if day)]
            self._database.execute(f"delete from analytics.local_runs where organization = $1{within}", values)


class _Transaction:
    def __init__(self, database: duckdb.DuckDBPyConnection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.begin()

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is None:
            self._database.commit()
        else:
            self._database.rollback()


def _connect(path: Path) -> duckdb.DuckDBPyConnection | None:
    """The open file if it is a cache of this version, else None."""
    if not path.exists():
        return None
    try:
        database = duckdb.connect(str(path))
    except duckdb.IOException as error:
        if "lock" in str(error):
            raise CacheInUse(f"{path} is in use by another process.") from None
        return None
    except duckdb.Error:
        return None
    try:
        if database.execute("select version from analytics.layout").fetchone() == (VERSION,):
            return database
    except duckdb.Error:
        pass
    database.close()
    return None


def _remove(path: Path) -> None:
    for file in (path, path.with_name(path.name + ".wal")):
        file.unlink(missing_ok=True)


def _create(database: duckdb.DuckDBPyConnection) -> None:
    columns = ", ".join(f'"{name}" {kind}' for name, kind in _TYPES.items())
    for statement in (
        "create schema analytics",
        "create table analytics.layout (version integer)",
        "create table analytics.position (origin text, horizon bigint)",
        "create table analytics.organizations (organization text, timezone text)",
        f"create table analytics.local_runs ({columns})",
        f"insert into analytics.layout values ({VERSION})",
    ):
        database.execute(statement)


_INSERT = f"""
insert into analytics.local_runs
select * from read_csv($1, header = false, auto_detect = false, nullstr = '', allow_quoted_nulls = false,
                       delim = ',', quote = '"', escape = '"', columns = {_TYPES!r})
order by organization, day
"""


def _position(source: Connection) -> tuple[str, int, datetime]:
    """Which database this is, below which transaction everything has ended, and the database's time."""
    row = source.execute(
        """
        select (select system_identifier from pg_control_system()) || '/' || oid,
               pg_snapshot_xmin(pg_current_snapshot())::text::bigint, now()
        from pg_database where datname = current_database()
        """
    ).fetchone()
    assert row is not None  # noqa: S101 - a session is always in a database
    return row[0], row[1], row[2].astimezone(UTC)


def _changed(source: Connection, horizon: int) -> dict[int, tuple[str, date | None]]:
    """What has changed in transactions that had not ended at `horizon`: also those slower than a later one."""
    rows = source.execute(
        "select id, organization, day from analytics.changes where transaction >= %s::text::xid8", [horizon]
    )
    return {id: (organization, day) for id, organization, day in rows}


def _pieces(changed: dict[int, tuple[str, date | None]], without: set[int]) -> Pieces:
    pieces: Pieces = defaultdict(set)
    for id, (organization, day) in changed.items():
        if id not in without:
            pieces[organization].add(day)
    return {organization: _whole_if_many(days) for organization, days in pieces.items()}


def _whole_if_many(days: set[date | None]) -> set[date | None]:
    return {None} if None in days or len(days) > _MOST_DAYS else days


def _everything(source: Connection) -> Pieces:
    return {
        organization: {None} for (organization,) in source.execute("select organization from analytics.organizations")
    }


def _copy_runs(source: Connection, pieces: Pieces, file: IO[bytes]) -> None:
    """The runs of these pieces as CSV."""
    for organization, days in pieces.items():
        for condition in _conditions(days):
            select = sql.SQL("copy (select {} from analytics.local_runs where organization = {} and {}) to stdout csv")
            columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in _COLUMNS)
            with source.cursor().copy(select.format(columns, sql.Literal(organization), condition)) as copy:
                for block in copy:
                    file.write(block)
    file.flush()


def _conditions(days: Iterable[date | None]) -> Iterable[sql.Composable]:
    """One condition for each day, with the instants around it for the index; one for a whole organization."""
    for day in days:
        if day is None:
            yield sql.SQL("true")
        else:
            start, end = day - timedelta(days=1), day + timedelta(days=2)
            yield sql.SQL("day = {} and started_at >= {} and started_at < {}").format(day, start, end)
