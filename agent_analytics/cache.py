"""The read cache: the runs in columns, in one DuckDB file that one process owns.

It follows the record by change and replaces whole (organization, day) pieces; whatever is wrong with it, it
can be thrown away and built again.
"""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Self

import duckdb

from agent_analytics import cache_tables, feed
from agent_analytics.compile import Run
from agent_analytics.errors import ServiceError
from agent_analytics.store import Connection, Record

# What a change costs is written to a log first; a checkpoint stops the following for a second, so it comes seldom.
_CONFIGURATION: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "1GB",
    "checkpoint_threshold": "256MB",
}


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
            delete(path)
            database = duckdb.connect(str(path), config=_CONFIGURATION)
            cache_tables.create(database)
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
            cache_tables.forget(self._database)
        zones = feed.zones(source)
        batches = [(piece,) for organization, _ in zones for piece in feed.whole(source, organization)]
        for _, file in _read_ahead(source, batches):
            with _Transaction(self._database):
                cache_tables.add(self._database, file)
        with _Transaction(self._database):
            cache_tables.keep_zones(self._database, zones)
        return len(zones)

    def _update(self, source: Connection, changes: feed.Changed) -> int:
        """What has changed, all at once."""
        pieces = feed.pieces(source, changes, without=self._taken)
        if pieces:
            with _Transaction(self._database):
                for batch, file in _read_ahead(source, feed.batches(pieces)):
                    for piece in batch:
                        cache_tables.remove(self._database, piece)
                    cache_tables.add(self._database, file)
                cache_tables.keep_zones(self._database, feed.zones(source))
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
        database = duckdb.connect(str(path), config=_CONFIGURATION)
    except duckdb.IOException as error:
        if "lock" in str(error):
            raise CacheInUse(f"{path} is in use by another process.") from None
        return None
    except duckdb.Error:
        return None
    try:
        if database.execute("select version from analytics.layout").fetchone() == (cache_tables.VERSION,):
            return database
    except duckdb.Error:
        pass
    database.close()
    return None


def delete(path: Path) -> None:
    """The file, and its log."""
    for file in (path, path.with_name(path.name + ".wal")):
        file.unlink(missing_ok=True)


def _read_ahead(source: Connection, batches: Iterable[feed.Batch]) -> Iterator[tuple[feed.Batch, str]]:
    """Each batch and the file of its runs: the record is read on while a batch is taken in."""
    with ThreadPoolExecutor(1, "feed") as reader:
        coming = deque[tuple[feed.Batch, Future[IO[bytes]]]]()
        for batch in batches:
            coming.append((batch, reader.submit(_file_of, source, batch)))
            if len(coming) > 1:
                yield from _taken(coming)
        while coming:
            yield from _taken(coming)


def _taken(coming: deque[tuple[feed.Batch, Future[IO[bytes]]]]) -> Iterator[tuple[feed.Batch, str]]:
    batch, reading = coming.popleft()
    with reading.result() as file:
        yield batch, file.name


def _file_of(source: Connection, batch: feed.Batch) -> IO[bytes]:
    file = NamedTemporaryFile(suffix=".csv")  # noqa: SIM115 - who takes the batch closes it
    for piece in batch:
        feed.copy_runs(source, piece, file)
    return file
