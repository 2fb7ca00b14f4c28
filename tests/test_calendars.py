"""Hours, days, weeks and months are the organization's own, on any calendar there is, from both engines."""

import csv
import gzip
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent_analytics.ingest import ingest_runs, open_source
from agent_analytics.organizations import set_organization
from agent_analytics.period import Days
from agent_analytics.query import Query
from agent_analytics.scope import parse_principal, scope_of
from agent_analytics.store import Record
from given import a_run, ingest
from reference import TIMES, local

LATER = datetime(2027, 1, 1, tzinfo=UTC)
HALF_HOUR, HOUR, DAY = timedelta(minutes=30), timedelta(hours=1), timedelta(days=1)


def starts(start: datetime, end: datetime, step: timedelta = HALF_HOUR) -> Iterator[datetime]:
    return (start + number * step for number in range(math.ceil((end - start) / step)))


def days(first: str, last: str) -> Days:
    return Days(date.fromisoformat(first), date.fromisoformat(last))


class LocalDay:
    """A row of the file of days that are not like others, with an organization of its own."""

    def __init__(self, number: int, row: dict[str, str]) -> None:
        self.organization, self.zone = f"place-{number}", row["zone"]
        self.day, self.hours = date.fromisoformat(row["local_date"]), float(row["hours"])
        self.start, self.end = (datetime.fromisoformat(row[name]) for name in ("utc_start", "utc_end"))

    @property
    def around(self) -> list[dict[str, Any]]:
        """A run every half hour, from two hours before the day to two hours after it."""
        every = starts(self.start - 2 * HOUR, self.end + 2 * HOUR)
        return [a_run(f"{at}", organization=self.organization, started_at=at.isoformat()) for at in every]

    @property
    def by_hour(self) -> Counter[datetime]:
        """What the clocks showed there in the day, each hour with the runs that started in it."""
        within = (a_run("x", started_at=at.isoformat()) for at in starts(self.start, self.end))
        return Counter(TIMES["hour"](local(run, self.zone)) for run in within)

    def ask(self, ask: Any, by: str, period: Days) -> dict[Any, int]:
        scope = scope_of(parse_principal(f"ORG_ADMIN:{self.organization}"))
        rows = ask(Query(["runs"], [by], period=period), scope, LATER).rows
        assert len(dict(rows)) == len(rows)
        return dict(rows)


@pytest.fixture
def unlike(shared: Path, record: Record) -> list[LocalDay]:
    with (shared / "dst_local_days.csv").open() as file:
        found = [LocalDay(number, row) for number, row in enumerate(csv.DictReader(file))]
    for each in found:
        set_organization(record, each.organization, timezone=each.zone)
    ingest(record, (run for each in found for run in each.around))
    return found


def test_a_day_is_as_long_as_it_was_there(unlike: list[LocalDay], ask) -> None:
    for each in unlike:
        found = each.ask(ask, "day", Days(each.day - 2 * DAY, each.day + 2 * DAY))
        assert found.get(each.day, 0) == each.hours * 2, each.day
        assert (each.day in found) == (each.hours > 0), each.day
        assert sum(found.values()) == each.hours * 2 + 8, each.day


def test_each_hour_that_the_clocks_showed_is_there_once(unlike: list[LocalDay], ask) -> None:
    for each in unlike:
        found = each.ask(ask, "hour", Days(each.day, each.day))
        assert found == each.by_hour, each.zone
        assert len(found) == min(24, math.ceil(each.hours)), each.zone
        assert sum(found.values()) == each.hours * 2, each.zone


def test_an_hour_that_comes_twice_holds_both_and_one_that_is_skipped_is_not_there(record: Record, ask) -> None:
    set_organization(record, "acme", timezone="Europe/Berlin")
    autumn = starts(datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 3, tzinfo=UTC))
    ingest(record, [a_run(f"{at}", started_at=at.isoformat()) for at in autumn])
    by_hour = Query(["runs"], ["hour"], period=days("2026-10-25", "2026-10-25"))
    assert [row[1] for row in ask(by_hour, now=LATER).rows][:6] == [2, 2, 4, 2, 0, 0]
    spring = ask(Query(["runs"], ["hour"], period=days("2026-03-29", "2026-03-29")), now=LATER)
    assert [row[0].hour for row in spring.rows] == [0, 1, *range(3, 24)]


def test_a_filled_answer_ends_with_the_hour_that_it_is(record: Record, ask) -> None:
    set_organization(record, "acme", timezone="Asia/Kathmandu")
    rows = ask(Query(["runs", "cost"], ["hour"], period=days("2026-03-30", "2026-03-30"))).rows
    assert rows == tuple((datetime(2026, 3, 30, hour), 0, None) for hour in range(18))


def test_weeks_are_iso_weeks_also_where_the_period_cuts_them(record: Record, ask) -> None:
    set_organization(record, "acme", timezone="Pacific/Auckland")
    ingest(record, every_noon(date(2025, 12, 20), date(2026, 1, 20), zone_hours=13))
    weeks = ask(Query(["runs"], ["week"], period=days("2025-12-24", "2026-01-06"))).rows
    assert weeks == ((date(2025, 12, 22), 5), (date(2025, 12, 29), 7), (date(2026, 1, 5), 2))
    months = ask(Query(["runs"], ["month"], period=days("2025-12-24", "2026-01-06"))).rows
    assert months == ((date(2025, 12, 1), 8), (date(2026, 1, 1), 6))
    both = ask(Query(["runs"], ["month", "week"], period=days("2025-12-24", "2026-01-06"))).rows
    assert [row[2] for row in both] == [5, 3, 4, 2]


def test_weeks_and_months_without_runs_are_there_too(record: Record, ask) -> None:
    ingest(record, [a_run("a", started_at="2025-12-31T12:00:00Z")])
    weeks = dict(ask(Query(["runs"], ["week"], period=days("2025-01-01", "2025-12-31"))).rows)
    assert list(weeks) == [date(2024, 12, 30) + number * timedelta(weeks=1) for number in range(53)]
    assert {week for week, runs in weeks.items() if runs} == {date(2025, 12, 29)}
    months = ask(Query(["runs"], ["month"], period=days("2025-01-31", "2025-12-31"))).rows
    assert [(month.month, runs) for month, runs in months] == [*((month, 0) for month in range(1, 12)), (12, 1)]


def every_noon(first: date, last: date, zone_hours: int) -> Iterable[dict[str, Any]]:
    noon = datetime.combine(first, time(12), UTC) - zone_hours * HOUR
    every = starts(noon, noon + (last - first + DAY), DAY)
    return [a_run(f"{at}", started_at=at.isoformat()) for at in every]


@pytest.mark.parametrize("dimension", [None, "team", "user", "agent_type", "model", "status"])
def test_another_zone_moves_the_runs_also_where_they_are_counted_already(
    record: Record, ask, dimension: str | None
) -> None:
    """Of a run each hour of two days, Kolkata has those of a day's last five and a half hours on the next."""
    every = starts(datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 3, 29, tzinfo=UTC), HOUR)
    ingest(record, [a_run(f"{at}", started_at=at.isoformat(), model="m-1") for at in every])
    measures = ["runs", "active_users", "duration_p50"]
    query = Query(measures, ["day", *([dimension] if dimension else [])], period=days("2026-03-27", "2026-03-29"))

    def runs_by_day() -> list[int]:
        return [row[-3] for row in ask(query).rows]

    assert runs_by_day() == [24, 24, 0]
    set_organization(record, "acme", timezone="Asia/Kolkata")
    assert runs_by_day() == [19, 24, 5]
    assert [row[-2:] for row in ask(query).rows] == [(1, 300.0)] * 3


# Of the runs of this trace, so many fall on another day in Los Angeles than in UTC: about two in three.
MOVED = {"runs": 6852, "moved": 4650}


def test_the_days_of_a_real_trace_equal_those_that_python_counts(shared: Path, record: Record, ask) -> None:
    path = shared / "runs" / "metr.jsonl.gz"
    ingest_runs(record, [open_source(str(path))])
    with gzip.open(path, "rt") as file:
        runs = [json.loads(line) for line in file]
    metr, period = scope_of(parse_principal("ORG_ADMIN:metr")), days("2024-10-01", "2025-01-31")
    counted: dict[str, Counter[date]] = {}
    for zone in ("UTC", "America/Los_Angeles"):
        set_organization(record, "metr", timezone=zone)
        counted[zone] = Counter(local(run, zone).date() for run in runs)
        found = dict(ask(Query(["runs"], ["day"], period=period), metr).rows)
        assert found == {day: counted[zone][day] for day in found}
        assert (len(found), sum(found.values())) == (len(period), len(runs))
    moved = sum(local(run, "UTC").date() != local(run, "America/Los_Angeles").date() for run in runs)
    assert {"runs": len(runs), "moved": moved} == MOVED
