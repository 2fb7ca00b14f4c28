"""Lines are published: once for each run, and what a run is corrected to later once more."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

import psycopg
import sqlalchemy as sa

from agent_analytics.anonymous import FEWEST_ACTIVE
from agent_analytics.catalog import MEASURES, parts_of
from agent_analytics.compile import render
from agent_analytics.organizations import Organization, unscoped_list
from agent_analytics.period import local_day
from agent_analytics.privacy.rule import Line, Share, lines_of
from agent_analytics.store import Connection, Record, run
from agent_analytics.tables import local_runs, published_lines, published_runs

ACTIVE_DAYS = 30
VALUES = [column.name for column in published_runs.c if not column.primary_key]
PARTS = [part for part in parts_of(MEASURES) if part.name in published_lines.c]
_KEYS = ("day", "agent_type", "user", "team")

_pending = sa.Table(
    "pending",
    sa.MetaData(schema="pg_temp"),
    *(sa.Column(name, sa.BigInteger) for name in ("share", "sign")),
    sa.Column("corrected", sa.Boolean),
    *(sa.Column(name, local_runs.c[name].type) for name in (*_KEYS, *VALUES)),
)


_NAMES = tuple(part.name for part in PARTS)
_GROUPS = [_pending.c[name] for name in ("share", "corrected", "sign", *_KEYS)]
_SHARES = render(sa.select(*_GROUPS, *(part.over(_pending) for part in PARTS)).group_by(*_GROUPS))
_LINE = ("organization", "day", "agent_type", "published_at", "people", *_NAMES)
_INSERT = (
    f"insert into analytics.published_lines ({', '.join(_LINE)}) "
    f"values ({', '.join(['%s'] * len(_LINE))}) returning line"
)


def _values(place: re.Match[str]) -> str:
    """`{values}`, `{values of x}`, `{values as old}`."""
    relation, old = place["relation"], place["old"]
    prefix = f"{relation}." if relation else "old_" if old else ""
    return ", ".join(f"{prefix}{name}{f' as old_{name}' if relation and old else ''}" for name in VALUES)


def _statements(text: str) -> dict[str, str]:
    """The statements of the SQL file by their names."""
    text = re.sub(r"\{values(?: of (?P<relation>\w+))?(?P<old> as old)?\}", _values, text)
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


SQL = _statements(files(__package__).joinpath("publish.sql").read_text())


@dataclass(frozen=True)
class Published:
    """What came of an organization: new `lines`, the `people` in them, the runs and corrections that are `waiting`.

    `off` says why nothing is published at all, None where that may be.
    """

    organization: str
    lines: int
    people: int
    waiting: int
    off: str | None


def publish(record: Record, now: datetime) -> list[Published]:
    """Publish what tells of nobody: runs that have ended, of days that are over in their organization's zone.

    Each organization in a transaction of its own, all or nothing; a second publisher waits for the first, and finds
    nothing left to do.
    """
    return [_publish(record, each, now) for each in unscoped_list(record)]


def _publish(record: Record, organization: Organization, now: datetime) -> Published:
    with record.organization(organization.organization) as connection:
        return _Publishing(connection, organization, now).publish()


class _Publishing:
    def __init__(self, connection: Connection, organization: Organization, now: datetime) -> None:
        self._connection, self._organization, self._now = connection, organization.organization, now
        self._last = local_day(now, organization.timezone) - timedelta(days=1)

    def publish(self) -> Published:
        self._run("lock")
        self._run("create_pending")
        self._run("collect", last=self._last)
        self._run("know_pending")
        self._run("create_chosen")
        off = self._off()
        lines = [] if off else [line for shares in self._shares() for line in lines_of(shares)]
        self._keep(lines)
        people = {share.user for line in lines for share in line.shares} - {None}
        waiting = self._run("count_waiting").fetchall()[0][0]
        return Published(self._organization, len(lines), len(people), waiting, off)

    def _off(self) -> str | None:
        first = self._last - timedelta(days=ACTIVE_DAYS - 1)
        active = self._run("active", first=first, last=self._last).fetchall()[0][0]
        if active >= FEWEST_ACTIVE:
            return None
        return f"{active} people were active in the last {ACTIVE_DAYS} days; {FEWEST_ACTIVE} must be"

    def _shares(self) -> tuple[list[Share], list[Share]]:
        """The shares of runs that are new, and those of corrections: each have lines of their own."""
        new: dict[int, Share] = {}
        corrected: dict[int, Share] = {}
        for number, is_corrected, sign, day, agent_type, user, team, *figures in run(self._connection, _SHARES):
            shares = corrected if is_corrected else new
            blank = Share(number, day, agent_type, user, team, dict.fromkeys(_NAMES))
            _add(shares.setdefault(number, blank).figures, zip(_NAMES, figures, strict=True), sign)
        return list(new.values()), list(corrected.values())

    def _keep(self, lines: Sequence[Line]) -> None:
        numbers = [self._insert(line) for line in lines]
        with self._connection.cursor().copy(SQL["choose"]) as copy:
            for line, number in zip(lines, numbers, strict=True):
                for share in line.shares:
                    copy.write_row((share.number, number))
        self._run("know_chosen")
        self._run("keep_people")
        self._run("keep_runs")

    def _insert(self, line: Line) -> int:
        figures: dict[str, Any] = dict.fromkeys(_NAMES)
        for share in line.shares:
            _add(figures, share.figures.items(), 1)
        row = self._connection.execute(
            _INSERT,
            (self._organization, line.day, line.agent_type, self._now, line.people, *figures.values()),
        ).fetchone()
        assert row is not None  # noqa: S101 - an insert returns its row
        return row[0]

    def _run(self, statement: str, **values: Any) -> psycopg.Cursor[tuple[Any, ...]]:
        return self._connection.execute(SQL[statement], {"organization": self._organization, **values})


def _add(figures: dict[str, Any], more: Iterable[tuple[str, Any]], sign: int) -> None:
    """Of the unknown and the known, the known."""
    for name, value in more:
        if value is not None:
            figures[name] = (figures[name] or 0) + sign * value
