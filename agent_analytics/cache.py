"""The read cache: the runs in columns, in one DuckDB file that one process owns.

It follows the record by change and replaces whole (organization, day) pieces; whatever is wrong with it, it
can be thrown away and built again.
"""

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Self

import duckdb
from sqlalchemy.dialects import postgresql

from agent_analytics import feed
from agent_analytics.compile import Run, render
from agent_analytics.cubes import CUBES, added_up, dimensions_of, source_of
from agent_analytics.errors import ServiceError
from agent_analytics.store import Connection, Record
from agent_analytics.tables import local_runs, runs

VERSION = 2
ORDER = "organization, day, team, agent_type"
_DIALECT = postgresql.dialect()
_LEFT_OUT = {column.name for column in runs.c} - {*feed.SENT} | {"ended_at"}
_TABLES = {
    table: {column.name: column.type.compile(_DIALECT) for column in table.c if column.name not in _LEFT_OUT}
    for table in (local_runs, *CUBES)
}
_READ = {name: local_runs.c[name].type.compile(_DIALECT) for name in feed.SENT} | {feed.LOCAL: "timestamp"}


class CacheInUse(ServiceError):
    """Another process owns the cache file."""


class Cache:
    """Open one with `Cache.open`; `follow` brings it up to the record."""

    name = "cache"
    cubes = True

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
            _delete(path)
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

    @contextmanager
    def reading(self, organization: str | None) -> Iterator[Run]:
        """All statements that are run see the same moment. The scope is in them; DuckDB has no row security."""
        with self._database.cursor() as cursor, _Transaction(cursor):
            yield lambda statement: cursor.execute(statement.text, statement.values).fetchall()

    def follow(self, record: Record) -> int:
        """Take over all that is committed in the record; the number of (organization, day) pieces replaced."""
        with self._writing, record.unscoped_reader() as source:
            source.execute("set transaction isolation level repeatable read, read only")
            source.execute("set local timezone to 'UTC'")
            position = feed.position(source)
            seen = self._horizon(position.origin)
            changes = {} if seen is None else feed.changed(source, seen)
            replaced = self._build(source) if seen is None else self._update(source, changes)
            if replaced or seen is None:
                self._remember(position)
            self._seen, self._taken, self._as_of = (position.origin, position.horizon), set(changes), position.as_of
        return replaced

    def _horizon(self, origin: str) -> int | None:
        """Below which transaction this cache has all of that record; None if it has never read it."""
        if self._seen is not None and self._seen[0] == origin:
            return self._seen[1]
        row = self._database.execute("select horizon from analytics.position where origin = $1", [origin]).fetchone()
        return None if row is None else row[0]

    def _build(self, source: Connection) -> int:
        """Everything anew, a piece at a time. Not believed before the end: until then there is no position."""
        with _Transaction(self._database):
            _forget(self._database)
        zones = feed.zones(source)
        pieces = [piece for organization, _ in zones for piece in feed.whole(source, organization)]
        for piece, file in _read_ahead(source, pieces):
            with _Transaction(self._database):
                _add(self._database, piece, file)
        with _Transaction(self._database):
            _keep_zones(self._database, zones)
        return len(zones)

    def _update(self, source: Connection, changes: feed.Changed) -> int:
        """What has changed, all at once."""
        pieces = feed.pieces(source, changes, without=self._taken)
        if pieces:
            with _Transaction(self._database):
                for piece, file in _read_ahead(source, pieces):
                    _remove(self._database, piece)
                    _add(self._database, piece, file)
                _keep_zones(self._database, feed.zones(source))
        return sum(len(piece.days) for piece in pieces)

    def _remember(self, position: feed.Position) -> None:
        with _Transaction(self._database):
            self._database.execute("delete from analytics.position")
            self._database.execute(
                "insert into analytics.position values ($1, $2)", [position.origin, position.horizon]
            )


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


def _delete(path: Path) -> None:
    for file in (path, path.with_name(path.name + ".wal")):
        file.unlink(missing_ok=True)


def _create(database: duckdb.DuckDBPyConnection) -> None:
    for statement in (
        "create schema analytics",
        "create table analytics.layout (version integer)",
        "create table analytics.position (origin text, horizon bigint)",
        "create table analytics.organizations (organization text, timezone text)",
        *(_create_table(table.fullname, columns) for table, columns in _TABLES.items()),
        f"insert into analytics.layout values ({VERSION})",
    ):
        database.execute(statement)


def _forget(database: duckdb.DuckDBPyConnection) -> None:
    """Tables made anew give their place in the file back, which emptied ones would not."""
    for table, columns in _TABLES.items():
        database.execute(f"drop table {table.fullname}")
        database.execute(_create_table(table.fullname, columns))
    database.execute("delete from analytics.position")
    database.execute("delete from analytics.organizations")


def _create_table(name: str, columns: Mapping[str, str]) -> str:
    listed = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
    return f"create table {name} ({listed})"


def _read_ahead(source: Connection, pieces: Iterable[feed.Piece]) -> Iterator[tuple[feed.Piece, str]]:
    """Each piece and the file of its runs: the record is read on while a piece is taken in."""
    with ThreadPoolExecutor(1, "feed") as reader:
        coming = deque[tuple[feed.Piece, Future[IO[bytes]]]]()
        for piece in list(pieces):
            coming.append((piece, reader.submit(_file_of, source, piece)))
            if len(coming) > 1:
                yield from _taken(coming)
        while coming:
            yield from _taken(coming)


def _taken(coming: deque[tuple[feed.Piece, Future[IO[bytes]]]]) -> Iterator[tuple[feed.Piece, str]]:
    piece, reading = coming.popleft()
    with reading.result() as file:
        yield piece, file.name


def _file_of(source: Connection, piece: feed.Piece) -> IO[bytes]:
    file = NamedTemporaryFile(suffix=".csv")  # noqa: SIM115 - who takes the piece closes it
    feed.copy_runs(source, piece, file)
    return file


def _remove(database: duckdb.DuckDBPyConnection, piece: feed.Piece) -> None:
    """The runs of a piece, and its part of each cube."""
    days = "" if piece.whole else " and day in (select unnest($2))"
    values = [piece.organization] if piece.whole else [piece.organization, list(piece.days)]
    for table in _TABLES:
        database.execute(f"delete from {table.fullname} where organization = $1{days}", values)


def _keep_zones(database: duckdb.DuckDBPyConnection, zones: list[tuple[str, str]]) -> None:
    database.execute("delete from analytics.organizations")
    if zones:
        database.executemany("insert into analytics.organizations values ($1, $2)", zones)


def _add(database: duckdb.DuckDBPyConnection, piece: feed.Piece, file: str) -> None:
    """The runs of a piece from a file, and what they add up to in each cube."""
    database.execute(_INSERT, [file])
    for cube in reversed(CUBES):
        source = source_of(cube)
        pieces = (source.c.organization == piece.organization, source.c.day.in_(piece.days))
        held = render(added_up(cube, [column.name for column in cube.c], source, *pieces))
        order = ", ".join(f'"{name}"' for name in dimensions_of(cube))
        database.execute(f"insert into {cube.fullname} {held.text} order by {order}", held.values)


_DERIVED = {
    "day": "local::date",
    "hour": "date_trunc('hour', local)",
    "duration_us": "case when status <> 'running' then epoch_us(ended_at) - epoch_us(started_at) end",
}
_INSERT = f"""
insert into analytics.local_runs
select {", ".join(_DERIVED.get(name, "") + f' "{name}"' for name in _TABLES[local_runs])}
from read_csv($1, header = false, auto_detect = false, nullstr = '', allow_quoted_nulls = false,
              delim = ',', quote = '"', escape = '"', columns = {_READ!r})
order by {ORDER}
"""
