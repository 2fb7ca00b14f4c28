"""Answers made ready to be drawn: their rows as lines, what is beyond the limit as the last of them."""

from dataclasses import dataclass
from typing import Any

from agent_analytics.answer import Answer
from agent_analytics.catalog import DIMENSIONS
from agent_analytics.figures import label
from agent_analytics.period import start_of, time_zone
from agent_analytics.query import Query

MOST_BARS = 8


@dataclass(frozen=True)
class Line:
    """One bar or one row of a table: a dimension's value and its figures, in the order of the measures."""

    name: str
    figures: tuple[Any, ...]
    is_rest: bool = False


def is_timed(query: Query) -> bool:
    """Whether it is split by a time first."""
    return bool(query.by) and DIMENSIONS[query.by[0]].kind == "time"


def is_provisional(answer: Answer, start: Any) -> bool:
    """Whether the hour, day, week or month from `start` had not ended when the answer was given."""
    now = answer.as_of.astimezone(time_zone(answer.zone)).replace(tzinfo=None)
    return start == start_of(answer.query.by[0], now)


def lines(answer: Answer) -> list[Line]:
    """The answer's rows in its order; last, as *Other*, what it has of the groups beyond its limit."""
    dimension = answer.query.by[0]
    shown = [Line(label(dimension, row[0]), row[1:]) for row in answer.rows]
    return shown if answer.other is None else [*shown, Line(f"Other ({answer.others})", answer.other, True)]


def drawn(answer: Answer) -> list[Line]:
    """The lines that are bars: every time, but of names the first few."""
    return lines(answer)[: None if is_timed(answer.query) else MOST_BARS]
