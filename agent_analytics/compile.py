"""Questions become statements: one for all that count the same rows, in the same text for the record and the cache."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import base

from agent_analytics.catalog import DIMENSIONS, parts_of
from agent_analytics.counting import Counted
from agent_analytics.cubes import added_up, columns, smallest
from agent_analytics.errors import QueryError
from agent_analytics.period import Span, parse_day
from agent_analytics.query import Filters, Query
from agent_analytics.scope import Scope
from agent_analytics.tables import local_runs

_DIALECT = base.PGDialect(paramstyle="numeric_dollar")
Row = tuple[Any, ...]
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Statement:
    """SQL with `$1`, `$2`… and their values."""

    text: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Rows:
    """Which runs are counted: those of these days that pass these filters, but for those with one of the keys."""

    where: Filters
    span: Span
    by: tuple[str, ...] = ()
    without: tuple[Key, ...] = ()


@dataclass(frozen=True)
class Count:
    """Figures of the same sort, from one relation, split by some dimensions."""

    rows: Rows
    relation: sa.Table
    parts: tuple[Counted, ...]
    by: tuple[str, ...]


@dataclass(frozen=True)
class Scan:
    """One statement for several counts. Its columns: which count's dimensions a row has, dimensions, parts."""

    statement: Statement
    counts: tuple[Count, ...]
    dimensions: tuple[str, ...]
    parts: tuple[str, ...]

    def figures(self, fetched: Iterable[Row], count: Count) -> dict[Key, dict[str, Any]]:
        """Of all rows fetched, this count's: by its dimensions' values, its parts by name."""
        own = self.grouping(count.by)
        keys = [1 + self.dimensions.index(name) for name in count.by]
        parts = [(part.name, 1 + len(self.dimensions) + self.parts.index(part.name)) for part in count.parts]
        return {
            tuple(row[position] for position in keys): {name: row[position] for name, position in parts}
            for row in fetched
            if row[0] == own
        }

    def grouping(self, by: Sequence[str]) -> int:
        """What SQL's GROUPING says of a row with these dimensions: a bit for each that is left out."""
        return sum(1 << bit for bit, name in enumerate(reversed(self.dimensions)) if name not in by)


def counts_of(query: Query, scope: Scope, span: Span, cubes: bool) -> list[Count]:
    """The query's figures, each sort from the smallest relation that has it; from the runs alone without `cubes`."""
    rows = Rows(query.where, span)
    return [_count(rows, scope, parts, query.by, cubes) for parts in _sorts(parts_of(query.measures))]


def rest_of(query: Query, scope: Scope, span: Span, kept: Iterable[Key]) -> list[Count]:
    """The figures, added up, of all runs but those of the `kept` groups: always from the runs."""
    rows = Rows(query.where, span, query.by, tuple(kept))
    return [_count(rows, scope, parts, (), cubes=False) for parts in _sorts(parts_of(query.measures))]


def _count(rows: Rows, scope: Scope, parts: tuple[Counted, ...], by: tuple[str, ...], cubes: bool) -> Count:
    if not cubes:
        return Count(rows, local_runs, parts, by)
    dimensions = {DIMENSIONS[name].needs for name in (*by, *(name for name, _ in rows.where))} | scope.dimensions
    fixed = {name for name, values in rows.where if len(values) == 1} | (
        {"organization"} if scope.organization else set()
    )
    return Count(rows, smallest(dimensions, parts, {*by, *fixed}), parts, by)


def _sorts(parts: Iterable[Counted]) -> list[tuple[Counted, ...]]:
    """What adds up, and of what does not all that needs the same: such is dear, and not counted for others' groups."""
    sorts: dict[frozenset[str], list[Counted]] = defaultdict(list)
    for part in parts:
        sorts[_sort(part)].append(part)
    return [tuple(sort) for sort in sorts.values()]


def _sort(part: Counted) -> frozenset[str]:
    return frozenset() if part.adds else part.needs


def scans(counts: Iterable[Count], scope: Scope) -> list[Scan]:
    """As few statements as can give all these counts."""
    shared: dict[Any, list[Count]] = defaultdict(list)
    for count in counts:
        shared[count.relation, count.rows, _sort(count.parts[0])].append(count)
    return [_scan(tuple(dict.fromkeys(same)), scope) for same in shared.values()]


@lru_cache(maxsize=1024)
def _scan(counts: tuple[Count, ...], scope: Scope) -> Scan:
    dimensions = tuple(dict.fromkeys(name for count in counts for name in count.by))
    parts = tuple({part.name: part for count in counts for part in count.parts}.values())
    asked = _asked(counts[0].relation, counts[0].rows, dimensions, parts, scope)
    keys = {name: asked.c[name] for name in dimensions}
    sets = list(dict.fromkeys(count.by for count in counts))
    grouping = sa.func.grouping(*keys.values()) if len(sets) > 1 else sa.literal_column("0")
    counted = sa.select(grouping.label("grouping"), *keys.values(), *(part.over(asked) for part in parts))
    counted = counted.select_from(asked)
    if len(sets) > 1:
        counted = counted.group_by(sa.func.grouping_sets(*(sa.tuple_(*(keys[name] for name in by)) for by in sets)))
    elif dimensions:
        counted = counted.group_by(*keys.values())
    return Scan(render(counted), counts, dimensions, tuple(part.name for part in parts))


def _asked(
    relation: sa.Table, rows: Rows, dimensions: Sequence[str], parts: Iterable[Counted], scope: Scope
) -> sa.Subquery:
    """The rows that are counted, with the dimensions under their names and the columns that the parts read."""
    needed = {name for part in parts for name in columns(part, relation)}
    source = _cut(relation, rows, scope, needed)
    labelled = [DIMENSIONS[name].expression(source).label(name) for name in dimensions]
    others = [source.c[name] for name in sorted(needed - set(dimensions)) or ["organization"]]
    return sa.select(*labelled, *others).where(*conditions(source, rows, scope)).subquery("asked")


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


def render(selected: sa.Select) -> Statement:
    """The text and values that both engines take."""
    compiled = selected.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    names = compiled.positiontup or ()
    return Statement(compiled.string, tuple(compiled.params[name] for name in names))


def values(dimension: str, scope: Scope, cubes: bool) -> Statement:
    """Every value of a dimension that the scope's runs have, whenever they started."""
    needs = {DIMENSIONS[dimension].needs} | scope.dimensions
    relation = smallest(needs, (), ()) if cubes else local_runs
    return render(sa.select(DIMENSIONS[dimension].expression(relation)).where(scope.condition(relation)).distinct())


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
    return [days, start >= _midnight(first - timedelta(days=1)), start < _midnight(last + timedelta(days=2))]


def _midnight(day: date) -> datetime:
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
