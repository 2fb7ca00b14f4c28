"""The record, and the cache that one thread keeps up with it."""

import logging
import threading
from pathlib import Path
from typing import Self

import duckdb
import psycopg

from agent_analytics.asking import Engine
from agent_analytics.cache import Cache
from agent_analytics.errors import AgentAnalyticsError, QueryError, unknown
from agent_analytics.store import Record

FOLLOW_EVERY = 0.5
ENGINES = ("cache", "record")
log = logging.getLogger(__name__)


class Engines:
    """Both engines; answers come from the record until the cache has read it once."""

    def __init__(self, record: Record, cache: Cache) -> None:
        self.record = record
        self.cache = cache
        self._stopping = threading.Event()
        self._follower = threading.Thread(target=self._follow, name="cache-follower", daemon=True)

    @classmethod
    def open(cls, url: str, home: Path) -> Self:
        return cls(Record(url, home), Cache.open(home / "cache" / "runs.duckdb"))

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
        return self.record if name == "record" or not self.cache.ready else self.cache

    def _follow(self) -> None:
        """Outlive whatever happens to the record: the next round tries again."""
        while not self._stopping.is_set():
            try:
                self.cache.follow(self.record)
            except (AgentAnalyticsError, psycopg.Error, duckdb.Error) as error:
                log.warning("The cache could not follow the record: %s", str(error).splitlines()[0])
            self._stopping.wait(FOLLOW_EVERY)
