"""One question, one statement: the same text runs on the record and on the cache."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import base

from agent_analytics.catalog import DIMENSIONS, parts_of
from agent_analytics.errors import QueryError
from agent_analytics.period import Days, parse_day
from agent_analytics.query import Query
from agent_analytics.scope import Scope
from agent_analytics.tables import local_runs

_DIALECT = base.PGDialect(paramstyle="numeric_dollar")


@dataclass(frozen=True)
class Statement:
    """SQL with `$1`, `$2`… and their values. Columns: the query's dimensions, then its measures' parts."""

    text: str
    values: tuple[Any, ...]


def compile(query: Query, scope: Scope, days: Days) -> Statement:
    """The statement that counts `query` within `scope` over `days`."""
    groups = [DIMENSIONS[name].column.label(name) for name in query.by]
    counts = [part.column for part in parts_of(query.measures)]
    selected = sa.select(*groups, *counts).where(scope.condition(), *_within(days), *_filters(query))
    keys: list[sa.ColumnClause[int]] = [sa.literal_column(str(position)) for position in range(1, len(groups) + 1)]
    return render(selected.group_by(*keys) if keys else selected)


def render(selected: sa.Select) -> Statement:
    """The text and values that both engines take."""
    compiled = selected.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    names = compiled.positiontup or ()
    return Statement(compiled.string, tuple(compiled.params[name] for name in names))


def _within(days: Days) -> list[sa.ColumnElement[bool]]:
    """The calendar days decide; the instants around them, a day wider than any zone, let an index help."""
    day, start = local_runs.c.day, local_runs.c.started_at
    return [
        day.between(days.first, days.last),
        start >= _midnight(days.first - timedelta(days=1)),
        start < _midnight(days.last + timedelta(days=2)),
    ]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _filters(query: Query) -> list[sa.ColumnElement[bool]]:
    return [_one_of(name, values) for name, values in query.where]


def _one_of(name: str, values: tuple[str | None, ...]) -> sa.ColumnElement[bool]:
    column = DIMENSIONS[name].column
    named = column.in_([_value(name, value) for value in values if value is not None])
    return sa.or_(named, column.is_(None)) if None in values else named


def _value(name: str, text: str) -> Any:
    if name == "hour":
        return _hour(text)
    return parse_day(text) if DIMENSIONS[name].kind == "time" else text


def _hour(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M")
    except ValueError:
        raise QueryError(f"{text!r} is not an hour. Write it like 2026-03-01T14:00.") from None
