"""Many questions, few statements: what counts the same rows shares one reading of them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from agent_analytics.catalog import DIMENSIONS, parts_of
from agent_analytics.compile import Key, Row, Rows, Statement, asked, render
from agent_analytics.counting import Counted
from agent_analytics.cubes import smallest
from agent_analytics.period import Span
from agent_analytics.query import Query
from agent_analytics.scope import Scope
from agent_analytics.tables import local_runs


@dataclass(frozen=True)
class Count:
    """Figures of one sort, from one relation, split by some dimensions."""

    rows: Rows
    relation: sa.Table
    parts: tuple[Counted, ...]
    by: tuple[str, ...]


@dataclass(frozen=True)
class Scan:
    """One statement for several counts. Its columns: the code of a row's count, all dimensions, all parts."""

    statement: Statement
    codes: dict[Count, int]
    dimensions: tuple[str, ...]
    parts: tuple[str, ...]

    def figures(self, fetched: Iterable[Row], count: Count) -> dict[Key, dict[str, Any]]:
        """Of all rows fetched, this count's: by its dimensions' values, its parts by name."""
        code = self.codes[count]
        keys = [1 + self.dimensions.index(name) for name in count.by]
        parts = [(part.name, 1 + len(self.dimensions) + self.parts.index(part.name)) for part in count.parts]
        return {
            tuple(row[position] for position in keys): {name: row[position] for name, position in parts}
            for row in fetched
            if row[0] == code
        }


def counts_of(query: Query, span: Span, scope: Scope, cubes: bool) -> list[Count]:
    """The query's figures, each sort from the smallest relation that has it; from the runs alone without `cubes`."""
    rows = Rows(query.where, span)
    # Whether anything is published of a group is told by its runs.
    measures = (*query.measures, "runs") if scope.anonymous else query.measures
    return [_count(rows, scope, parts, query.by, cubes) for parts in _sorts(parts_of(measures))]


def rest_of(query: Query, span: Span, kept: Iterable[Key]) -> list[Count]:
    """The figures that do not add up, of all runs but those of the `kept` groups: from the runs."""
    rows = Rows(query.where, span, query.by, tuple(kept))
    parts = [part for part in parts_of(query.measures) if not part.adds]
    return [Count(rows, local_runs, sort, ()) for sort in _sorts(parts)]


def _count(rows: Rows, scope: Scope, parts: tuple[Counted, ...], by: tuple[str, ...], cubes: bool) -> Count:
    if not cubes:
        return Count(rows, scope.relation, parts, by)
    filtered = {name for name, _ in rows.where}
    dimensions = {DIMENSIONS[name].needs for name in filtered.union(by)} | scope.dimensions
    single = {*by, *(name for name, values in rows.where if len(values) == 1)}
    if scope.organization:
        single.add("organization")
    return Count(rows, smallest(dimensions, parts, single), parts, by)


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
    for count in dict.fromkeys(counts):
        shared[count.relation, count.rows].append(count)
    return [_scan(tuple(same), scope) for same in shared.values()]


@lru_cache(maxsize=1024)
def _scan(counts: tuple[Count, ...], scope: Scope) -> Scan:
    """All sorts from one reading: where there are several, the rows are kept aside for the statement's time."""
    dimensions = tuple(dict.fromkeys(name for count in counts for name in count.by))
    parts = tuple({part.name: part for count in counts for part in count.parts}.values())
    sorts: dict[frozenset[str], list[Count]] = defaultdict(list)
    for count in counts:
        sorts[_sort(count.parts[0])].append(count)
    rows = asked(counts[0].relation, counts[0].rows, dimensions, parts, scope)
    source = rows.subquery("asked") if len(sorts) == 1 else rows.cte("asked")
    branches = [_Branch(source, dimensions, parts, sort, number) for number, sort in enumerate(sorts.values())]
    selected = branches[0].selected if len(branches) == 1 else sa.union_all(*(each.selected for each in branches))
    codes = {count: code for each in branches for count, code in each.codes.items()}
    return Scan(render(selected), codes, dimensions, tuple(part.name for part in parts))


class _Branch:
    """The counts of one sort as a SELECT with the columns of all; `codes` tells its counts' rows apart."""

    def __init__(
        self,
        source: sa.FromClause,
        dimensions: Sequence[str],
        parts: Iterable[Counted],
        counts: Sequence[Count],
        number: int,
    ) -> None:
        self._source = source
        self._sets = list(dict.fromkeys(count.by for count in counts))
        self._own = [name for name in dimensions if any(name in by for by in self._sets)]
        first = number << len(dimensions)
        self.codes = {count: first + self._grouping(count.by) for count in counts}
        counted = {part.name for count in counts for part in count.parts}
        columns = (
            sa.literal_column(str(first)) if len(self._sets) == 1 else first + sa.func.grouping(*self._keys(self._own)),
            *(source.c[name] if name in self._own else _null(source.c[name].type, name) for name in dimensions),
            *(part.over(source) if part.name in counted else part.unknown() for part in parts),
        )
        self.selected = self._grouped(sa.select(columns[0].label("code"), *columns[1:]).select_from(source))

    def _grouped(self, selected: sa.Select) -> sa.Select:
        if len(self._sets) > 1:
            return selected.group_by(sa.func.grouping_sets(*(sa.tuple_(*self._keys(by)) for by in self._sets)))
        return selected.group_by(*self._keys(self._own)) if self._own else selected

    def _keys(self, names: Iterable[str]) -> list[sa.ColumnElement]:
        return [self._source.c[name] for name in names]

    def _grouping(self, by: Sequence[str]) -> int:
        """What SQL's GROUPING says of a row with these dimensions: a bit for each that is left out."""
        if len(self._sets) == 1:
            return 0
        return sum(1 << bit for bit, name in enumerate(reversed(self._own)) if name not in by)


def _null(kind: sa.types.TypeEngine, name: str) -> sa.ColumnElement:
    return sa.cast(sa.null(), kind).label(name)
