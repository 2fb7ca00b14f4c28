"""Answers made ready to be drawn: no gaps between days, long lists cut with their rest added up."""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from agent_analytics.answer import Answer
from agent_analytics.catalog import DIMENSIONS, MEASURES
from agent_analytics.figures import label
from agent_analytics.period import time_zone

COUNTED_AS_ZERO = ("runs", "users")


@dataclass(frozen=True)
class Line:
    """One bar or one row of a table: a dimension's value and its figures, in the order of the measures."""

    name: str
    figures: tuple[Any, ...]
    is_rest: bool = False


def is_timed(answer: Answer) -> bool:
    """Whether it is split by a time first."""
    return bool(answer.query.by) and DIMENSIONS[answer.query.by[0]].kind == "time"


def every_day(answer: Answer) -> Answer:
    """With a line for each day of the period: no runs are 0 runs, but what they cost is unknown."""
    if answer.query.by != ("day",):
        return answer
    blank = tuple(0 if MEASURES[name].unit in COUNTED_AS_ZERO else None for name in answer.query.measures)
    known = {row[0]: row for row in answer.rows}
    days = (answer.days.first + timedelta(days=number) for number in range(len(answer.days)))
    return replace(answer, rows=tuple(known.get(day, (day, *blank)) for day in days))


def is_provisional(answer: Answer, start: Any) -> bool:
    """Whether the hour, day, week or month from `start` had not ended when the answer was given."""
    now = answer.as_of.astimezone(time_zone(answer.zone)).replace(tzinfo=None)
    return start == _start_of(answer.query.by[0], now)


def _start_of(unit: str, now: datetime) -> date | datetime:
    match unit:
        case "hour":
            return now.replace(minute=0, second=0, microsecond=0)
        case "week":
            return now.date() - timedelta(days=now.weekday())
        case "month":
            return now.date().replace(day=1)
    return now.date()


def lines(answer: Answer, most: int) -> list[Line]:
    """At most `most` lines in the answer's order; what is beyond them is added up in the last, *Other*."""
    dimension = answer.query.by[0]
    kept = len(answer.rows) if len(answer.rows) <= most else most - 1
    shown = [Line(label(dimension, row[0]), row[1:]) for row in answer.rows[:kept]]
    rest = answer.rows[kept:]
    return [*shown, Line(f"Other ({len(rest)})", _added_up(answer, rest), True)] if rest else shown


def _added_up(answer: Answer, rows: tuple[tuple[Any, ...], ...]) -> tuple[Any, ...]:
    columns = zip(*(row[1:] for row in rows), strict=True)
    return tuple(_sum(name, column) for name, column in zip(answer.query.measures, columns, strict=True))


def _sum(measure: str, values: tuple[Any, ...]) -> Any:
    """A sum over the known; unknown for ratios, and where nothing is known."""
    known = [value for value in values if value is not None]
    return sum(known) if known and can_be_added(measure) else None


def can_be_added(measure: str) -> bool:
    """Whether the parts' figures add up to the whole's: not so for ratios, quantiles and distinct people."""
    declared = MEASURES[measure]
    return declared.divisor is None and declared.kind != "float" and declared.unit != "users"
