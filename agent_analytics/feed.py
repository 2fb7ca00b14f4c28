"""What the record tells those who follow it: what changed since they last looked, and the runs of whole days as CSV."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import IO

from psycopg import sql

from agent_analytics.store import Connection
from agent_analytics.tables import runs

# More single days than this of one organization are cheaper read as the whole organization.
MOST_DAYS = 100
# So many runs are read at a time, so that memory and temporary files stay small.
RUNS_AT_A_TIME = 500_000

# What tells one run from another is read from the record, by its key.
_KEPT_BACK = ("run_id", "cost_source", "error_message", "attributes", "updated_at")
SENT = tuple(column.name for column in runs.c if column.name not in _KEPT_BACK)
LOCAL = "local"

Batch = tuple["Piece", ...]
Changed = dict[int, tuple[str, date | None]]


@dataclass(frozen=True)
class Position:
    """Which database it is, below which transaction everything has ended there, and its time."""

    origin: str
    horizon: int
    as_of: datetime


@dataclass(frozen=True)
class Piece:
    """Some days of an organization. `whole`: the first part of all of its days, so that what is held of it goes."""

    organization: str
    days: tuple[date, ...]
    whole: bool = False
    part_of_whole: bool = False


def position(source: Connection) -> Position:
    row = source.execute(
        """
        select (select system_identifier from pg_control_system()) || '/' || oid,
               pg_snapshot_xmin(pg_current_snapshot())::text::bigint, now()
        from pg_database where datname = current_database()
        """
    ).fetchone()
    assert row is not None  # noqa: S101 - a session is always in a database
    return Position(row[0], row[1], row[2].astimezone(UTC))


def zones(source: Connection) -> list[tuple[str, str]]:
    """Each organization and its time zone."""
    return source.execute("select organization, timezone from analytics.organizations order by 1").fetchall()


def changed(source: Connection, horizon: int) -> Changed:
    """What has changed in transactions that had not ended at `horizon`: also those slower than a later one."""
    rows = source.execute(
        "select id, organization, day from analytics.changes where transaction >= %s::text::xid8", [horizon]
    )
    return {id: (organization, day) for id, organization, day in rows}


def pieces(source: Connection, changes: Changed, without: set[int]) -> list[Piece]:
    """The pieces that these changes touch, but for those taken already."""
    touched: dict[str, set[date | None]] = defaultdict(set)
    for id, (organization, day) in changes.items():
        if id not in without:
            touched[organization].add(day)
    found: list[Piece] = []
    for organization, days in sorted(touched.items()):
        single = tuple(sorted(day for day in days if day))
        many = None in days or len(days) > MOST_DAYS
        found += whole(source, organization) if many else [Piece(organization, single)]
    return found


def whole(source: Connection, organization: str) -> Iterator[Piece]:
    """All days of an organization, some at a time."""
    rows = source.execute(
        "select day, count(*) from analytics.local_runs where organization = %s group by 1 order by 1", [organization]
    )
    days, runs, first = [], 0, True
    for day, count in rows.fetchall():
        days.append(day)
        runs += count
        if runs >= RUNS_AT_A_TIME:
            yield Piece(organization, tuple(days), first, True)
            days, runs, first = [], 0, False
    if days or first:
        yield Piece(organization, tuple(days), first, True)


def batches(pieces: Iterable[Piece]) -> list[Batch]:
    """Days of many organizations are read as one; each part of a whole organization by itself."""
    every = list(pieces)
    days = tuple(piece for piece in every if not piece.part_of_whole)
    return [*([days] if days else []), *((piece,) for piece in every if piece.part_of_whole)]


def copy_runs(source: Connection, piece: Piece, file: IO[bytes]) -> None:
    """The runs of a piece as CSV without a header: the columns SENT, and the local time at which each started.

    Days, hours and durations are left to who follows, by arithmetic on these: PostgreSQL's is the dearer one.
    """
    if not piece.days:
        return
    columns = sql.SQL(", ").join(sql.Identifier("runs", name) for name in SENT)
    values = map(sql.Literal, (piece.organization, list(piece.days), piece.days[0], piece.days[-1] + timedelta(days=1)))
    with source.cursor().copy(_COPY.format(columns, *values)) as copy:
        for block in copy:
            file.write(block)
    file.flush()


# The day decides; the instants around the days, some hours wider for changes of the clocks, let the index help.
_COPY = sql.SQL(
    """
    copy (
      select {0}, timezone(organizations.timezone, runs.started_at)
      from analytics.runs join analytics.organizations using (organization)
      where organization = {1} and timezone(organizations.timezone, runs.started_at)::date = any ({2})
        and runs.started_at >= (select timezone(timezone, {3}::timestamp) from analytics.organizations
                                where organization = {1}) - interval '3 hours'
        and runs.started_at < (select timezone(timezone, {4}::timestamp) from analytics.organizations
                               where organization = {1}) + interval '3 hours'
    ) to stdout csv
    """
)
