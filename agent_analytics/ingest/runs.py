"""The front door: records of any sources, validated, priced and merged into the record in one transaction."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from agent_analytics.errors import IngestError
from agent_analytics.ingest.prices import PriceTable
from agent_analytics.ingest.records import Rejected, Run, checked
from agent_analytics.ingest.sources import Source
from agent_analytics.ingest.upsert import Merge, Piece
from agent_analytics.store import Record

LOAD = 4 * 1024 * 1024
NOBODY = ""


class NothingGood(IngestError):
    """Each record of all files is rejected."""


@dataclass(frozen=True)
class Rejection:
    """A record that was not taken: where it stood, which field was wrong (None: all of it), and how."""

    file: str
    line: int
    field: str | None
    reason: str
    record: Any

    def __str__(self) -> str:
        field = f"{self.field}: " if self.field else ""
        return f"{self.file}, line {self.line}: {field}{self.reason}"


@dataclass(frozen=True)
class Summary:
    """What became of the records: runs that are new, runs with a newer version, records that changed nothing, bad ones.

    A record that another one of the same files supersedes is counted as unchanged.
    """

    accepted: int
    updated: int
    unchanged: int
    rejected: int

    def __str__(self) -> str:
        parts = ((name, getattr(self, name)) for name in ("accepted", "updated", "unchanged", "rejected"))
        return ", ".join(f"{count:,} {name}" for name, count in parts) + "."


def ingest_runs(
    record: Record,
    sources: Iterable[Source],
    *,
    organization: str | None = None,
    rejects: Callable[[Rejection], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Summary:
    """Take the runs of all sources, or nothing.

    `organization` owns the records that name none; it, teams, users and agent types are created where they are new.
    `rejects` gets each record that is not taken; `progress` gets how much more was read, in the unit of the sources'
    sizes. Raises IngestError where a source cannot be read to its end or not one record of it all is good.
    """
    reading = Reading(organization, rejects, progress)
    try:
        with record.organization(NOBODY) as connection, Merge(connection) as merge:
            for pieces, last in _loads(reading.runs(sources)):
                merge.add(pieces, last)
            merge.finish()
            reading.check()
    except psycopg.Error as error:
        raise IngestError(f"PostgreSQL refused the runs: {str(error).splitlines()[0]}. Nothing was taken.") from error
    unchanged = reading.good - merge.accepted - merge.updated
    return Summary(merge.accepted, merge.updated, unchanged, reading.bad)


class Reading:
    """Turns sources into runs, and counts."""

    def __init__(
        self,
        organization: str | None,
        rejects: Callable[[Rejection], None] | None,
        progress: Callable[[int], None] | None,
    ) -> None:
        self._organization, self._rejects, self._progress = organization, rejects, progress
        self._prices = PriceTable()
        self._first: Rejection | None = None
        self.good = self.bad = 0

    def runs(self, sources: Iterable[Source]) -> Iterator[Run]:
        for source in sources:
            for batch in source.batches:
                for line, raw in batch.records:
                    try:
                        yield checked(source.decode(raw), self._organization, self._prices)
                    except Rejected as rejected:
                        self._reject(source, line, raw, rejected)
                    else:
                        self.good += 1
                if self._progress:
                    self._progress(batch.read)

    def _reject(self, source: Source, line: int, raw: Any, rejected: Rejected) -> None:
        rejection = Rejection(source.name, line, rejected.field, rejected.reason, source.show(raw))
        self.bad += 1
        self._first = self._first or rejection
        if self._rejects:
            self._rejects(rejection)

    def check(self) -> None:
        """Raises NothingGood where there are records, all of them bad."""
        if self._first and not self.good:
            raise NothingGood(f"Nothing was taken: no record is good, of {self.bad:,}. The first: {self._first}.")


def _loads(runs: Iterator[Run]) -> Iterator[tuple[list[Piece], bool]]:
    """The runs as pieces, as many at a time as memory may hold, and whether these are the last."""
    pieces: dict[str, Piece] = {}
    size = 0
    for run in runs:
        if size > LOAD:
            yield list(pieces.values()), False
            pieces, size = {}, 0
        piece = pieces.get(run[0])
        if piece is None:
            piece = pieces[run[0]] = Piece(run[0])
        size += piece.add(run)
    if pieces:
        yield list(pieces.values()), True
