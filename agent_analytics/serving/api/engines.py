"""The record, and the cache that one thread keeps up with it."""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Self, TypeVar

import duckdb
import psycopg

from agent_analytics.answer import Answer
from agent_analytics.asking import Engine, answers
from agent_analytics.cache import Cache, delete
from agent_analytics.errors import AgentAnalyticsError, QueryError, unknown
from agent_analytics.query import Query
from agent_analytics.scope import Scope
from agent_analytics.store import Record

FOLLOW_EVERY = 0.1
ENGINES = ("cache", "record")
Found = TypeVar("Found")
log = logging.getLogger(__name__)


class Engines:
    """Both engines; answers come from the record until the cache has read it once, and whenever it fails."""

    def __init__(self, record: Record, file: Path) -> None:
        self.record = record
        self.cache = Cache.open(file)
        self._file = file
        self._broken = threading.Event()
        self._stopping = threading.Event()
        self._follower = threading.Thread(target=self._follow, name="cache-follower", daemon=True)

    @classmethod
    def open(cls, url: str, home: Path) -> Self:
        return cls(Record(url, home), home / "cache" / "runs.duckdb")

    def start(self) -> None:
        self._follower.start()

    def stop(self) -> None:
        self._stopping.set()
        self._follower.join()
        self.cache.close()
        self.record.close()

    def pick(self, name: str | None) -> Engine:
        """The engine of that name, or the quickest that is ready."""
        if name is not None and name not in ENGINES:
            raise QueryError(unknown("engine", name, ENGINES))
        ready = self.cache.ready and not self._broken.is_set()
        return self.cache if name != "record" and ready else self.record

    def answers(self, queries: Sequence[Query], scope: Scope, now: datetime, name: str | None = None) -> list[Answer]:
        """From the engine of that name, or the quickest; from the record where the cache fails, and published lines."""
        engine = self.record if scope.anonymous else self.pick(name)
        return self.ask(lambda engine: answers(queries, scope, engine, now), engine)

    def ask(self, question: Callable[[Engine], Found], engine: Engine | None = None) -> Found:
        """What the question finds in the engine, by default the quickest; in the record where the cache fails."""
        engine = engine or self.pick(None)
        try:
            return question(engine)
        except duckdb.Error as error:
            # One that was replaced meanwhile says nothing of the one in its place.
            if engine is self.cache:
                self._doubt(error)
            return question(self.record)

    def _doubt(self, error: duckdb.Error) -> None:
        """Whatever is wrong with the file, it is made anew; a question that is too large says nothing of the file."""
        log.warning("The cache failed: %s", str(error).splitlines()[0])
        if not isinstance(error, duckdb.OutOfMemoryException):
            self._broken.set()

    def _follow(self) -> None:
        """Outlive whatever happens to the record: the next round tries again."""
        while not self._stopping.is_set():
            try:
                if self._broken.is_set():
                    self._renew()
                self.cache.follow(self.record)
            except duckdb.Error as error:
                self._doubt(error)
            except (AgentAnalyticsError, psycopg.Error) as error:
                log.warning("The cache could not follow the record: %s", str(error).splitlines()[0])
            self._stopping.wait(FOLLOW_EVERY)

    def _renew(self) -> None:
        self.cache.close()
        delete(self._file)
        self.cache = Cache.open(self._file)
        self._broken.clear()
