"""The front door: `ingest_runs(record, sources)`."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import Queue
from threading import Thread
from typing import Any

from agent_analytics.errors import IngestError
from agent_analytics.ingest.prices import settle_source
from agent_analytics.ingest.records import Rejected, Row, Source, checked, shown
from agent_analytics.ingest.upsert import Priced, Upsert
from agent_analytics.store import Record

BATCH = 20_000


@dataclass(frozen=True)
class Summary:
    """What became of the records; unchanged ones are known already, or older than what is known."""

    accepted: int
    updated: int
    unchanged: int
    rejected: int


@dataclass(frozen=True)
class Rejection:
    """One record that was not taken, and why."""

    file: str
    line: int
    field: str | None
    reason: str
    record: Any


def ingest_runs(
    record: Record,
    sources: Iterable[Source],
    *,
    organization: str | None = None,
    rejects: Callable[[Rejection], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Summary:
    """Take all sources' runs into the record, in one transaction: all good ones, or none where something fails.

    `organization` is for records that name none. `rejects` is told each rejected record, `progress` how many
    more have been read. Raises IngestError, also if every single record is rejected.
    """
    reading = _Reading(organization, rejects)
    with record.organization("") as connection:
        upsert = Upsert(connection)
        for batch in _ahead(reading.batches(sources)):
            upsert.write(batch)
            if progress:
                progress(len(batch))
        if reading.rejected and not reading.good:
            raise IngestError(f"All {reading.rejected} records were rejected. The first: {reading.first}")
        upsert.finish()
    unchanged = reading.good - upsert.accepted - upsert.updated
    return Summary(upsert.accepted, upsert.updated, unchanged, reading.rejected)


class _Reading:
    """Checks and prices records, and counts."""

    def __init__(self, organization: str | None, rejects: Callable[[Rejection], None] | None) -> None:
        self._organization = organization
        self._rejects = rejects
        self.good = 0
        self.rejected = 0
        self.first = ""

    def batches(self, sources: Iterable[Source]) -> Iterator[list[Priced]]:
        batch: list[Priced] = []
        for source in sources:
            for row in source.rows:
                run = self._take(source, row)
                if run:
                    batch.append(run)
                if len(batch) == BATCH:
                    yield batch
                    batch = []
        if batch:
            yield batch

    def _take(self, source: Source, row: Row) -> Priced | None:
        try:
            run = checked(row, source.loose, self._organization)
        except Rejected as rejected:
            self._reject(source, row, rejected)
            return None
        self.good += 1
        return run, settle_source(run)

    def _reject(self, source: Source, row: Row, rejected: Rejected) -> None:
        self.rejected += 1
        self.first = self.first or f"{source.name}, line {row.line}: {rejected}"
        if self._rejects:
            self._rejects(Rejection(source.name, row.line, rejected.field, rejected.reason, shown(row.content)))


def _ahead(batches: Iterator[list[Priced]]) -> Iterator[list[Priced]]:
    """The batches, each made while PostgreSQL works on the one before. What fails there fails here."""
    queue: Queue[list[Priced] | BaseException | None] = Queue(maxsize=2)
    thread = Thread(target=_fill, args=(queue, batches), daemon=True, name="ingest-reader")
    thread.start()
    while (made := queue.get()) is not None:
        if isinstance(made, BaseException):
            raise made
        yield made


def _fill(queue: "Queue[list[Priced] | BaseException | None]", batches: Iterator[list[Priced]]) -> None:
    try:
        for batch in batches:
            queue.put(batch)
        queue.put(None)
    except BaseException as error:
        queue.put(error)
