"""Questions become SQL: which rows are counted, in a text that the record and the cache both take."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import base

from agent_analytics.catalog import DIMENSIONS
from agent_analytics.counting import Counted
from agent_analytics.cubes import added_up, columns, smallest
from agent_analytics.errors import QueryError
from agent_analytics.period import Span, parse_day
from agent_analytics.query import Filters
from agent_analytics.scope import Scope
from agent_analytics.tables import local_runs, published_lines

_DIALECT = base.PGDialect(paramstyle="numeric_dollar")
Row = tuple[Any, ...]
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Statement:
    """SQL with `$1`, `$2`… and their values."""

    text: str
    values: tuple[Any, ...]


Run = Callable[[Statement], list[Row]]


@dataclass(frozen=True)
class Rows:
    """Which runs are counted: those of these days that pass these filters, but for those with one of the keys."""

    where: Filters
    span: Span
    by: tuple[str, ...] = ()
    without: tuple[Key, ...] = ()


def asked(
    relation: sa.Table, rows: Rows, dimensions: Sequence[str], parts: Iterable[Counted], scope: Scope
) -> sa.Select:
    """The rows that are counted, with the dimensions under their names and the columns that the parts read."""
    needed = {name for part in parts for name in columns(part, relation)}
    source = _cut(relation, rows, scope, needed)
    labelled = [DIMENSIONS[name].expression(source).label(name) for name in dimensions]
    others = [source.c[name] for name in sorted(needed - set(dimensions)) or ["organization"]]
    return sa.select(*labelled, *others).where(*conditions(source, rows, scope))


def _cut(relation: sa.Table, rows: Rows, scope: Scope, needed: set[str]) -> sa.FromClause:
    """A cube knows whole days only: a day that is cut at an instant is added up anew from the runs."""
    until, last = rows.span.until, rows.span.days.last
    if until is None or relation is local_runs:
        return relation
    names = [column.name for column in relation.c if column.info or column.name in needed]
    within = (scope.condition(), *_days(local_runs, last, last), local_runs.c.started_at < until)
    day = added_up(relation, names, local_runs, *within)
    before = sa.select(*(relation.c[name] for name in names)).where(relation.c.day < last)
    return sa.union_all(before, day).subquery("cut")


def render(selected: sa.Select | sa.CompoundSelect) -> Statement:
    """The text and values that both engines take."""
    compiled = selected.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    names = compiled.positiontup or ()
    return Statement(compiled.string, tuple(compiled.params[name] for name in names))


def zone_of(organization: str) -> Statement:
    """The organization's time zone; no row where it has never sent anything."""
    return Statement("select timezone from analytics.organizations where organization = $1", (organization,))


def values(dimension: str, scope: Scope, cubes: bool) -> Statement:
    """Every value of a dimension that the scope's runs have, whenever they started."""
    needs = {DIMENSIONS[dimension].needs} | scope.dimensions
    relation = smallest(needs, (), ()) if cubes else scope.relation
    return render(sa.select(DIMENSIONS[dimension].expression(relation)).where(scope.condition(relation)).distinct())


def newest(scope: Scope) -> Statement:
    """When the newest line was published that the scope may see; null where there is none."""
    return render(sa.select(sa.func.max(published_lines.c.published_at)).where(scope.condition(published_lines)))


def conditions(relation: sa.FromClause, rows: Rows, scope: Scope) -> list[sa.ColumnElement[bool]]:
    """What makes a row of `relation` one of `rows`, and one that the scope may see."""
    return [scope.condition(relation), *_within(relation, rows.span), *_filters(relation, rows)]


def _within(relation: sa.FromClause, span: Span) -> list[sa.ColumnElement[bool]]:
    within = _days(relation, span.days.first, span.days.last)
    cut = span.until is not None and "started_at" in relation.c
    return [*within, relation.c.started_at < span.until] if cut else within


def _days(relation: sa.FromClause, first: date, last: date) -> list[sa.ColumnElement[bool]]:
    """The calendar days decide; the instants around them, a day wider than any zone, let an index help."""
    days = relation.c.day.between(first, last)
    if "started_at" not in relation.c:
        return [days]
    start = relation.c.started_at
    return [days, start >= midnight(first - timedelta(days=1)), start < midnight(last + timedelta(days=2))]


def midnight(day: date) -> datetime:
    """The instant at which the day begins in UTC."""
    return datetime.combine(day, time(), UTC)


def _filters(relation: sa.FromClause, rows: Rows) -> list[sa.ColumnElement[bool]]:
    chosen = [_one_of(relation, name, values) for name, values in rows.where]
    return [*chosen, *(sa.not_(_is(relation, rows.by, key)) for key in rows.without)]


def _one_of(relation: sa.FromClause, name: str, values: tuple[str | None, ...]) -> sa.ColumnElement[bool]:
    column = DIMENSIONS[name].expression(relation)
    named = column.in_([_value(name, value) for value in values if value is not None])
    return sa.or_(named, column.is_(None)) if None in values else named


def _is(relation: sa.FromClause, by: tuple[str, ...], key: Key) -> sa.ColumnElement[bool]:
    pairs = zip(by, key, strict=True)
    return sa.and_(*(DIMENSIONS[name].expression(relation).is_not_distinct_from(value) for name, value in pairs))


def _value(name: str, text: str) -> Any:
    if name == "hour":
        return _hour(text)
    return parse_day(text) if DIMENSIONS[name].kind == "time" else text


def _hour(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M")
    except ValueError:
        raise QueryError(f"{text!r} is not an hour. Write it like 2026-03-01T14:00.") from None
