"""The relations that can be counted: the runs, and daily cubes in which they are counted already.

A cube holds a row for each organization, day and combination of its dimensions, with every figure that adds up;
`daily` also those that do not, for the very day that they were counted for. Which cubes there are was chosen by
measurement (docs/decisions.md); an answer is the same from any relation that can give it.
"""

from collections.abc import Collection, Iterable

import sqlalchemy as sa

from agent_analytics.catalog import MEASURES, parts_of
from agent_analytics.counting import SQL_TYPES, Counted
from agent_analytics.tables import local_runs

KEYS = ("organization", "day")
_ALL = parts_of(MEASURES)
_ADDING = tuple(part for part in _ALL if part.adds)
_metadata = sa.MetaData(schema="analytics")


def _cube(*dimensions: str, source: sa.Table = local_runs, parts: Iterable[Counted] = _ADDING) -> sa.Table:
    """A cube, made from the runs or from a finer cube."""
    return sa.Table(
        "_".join(("daily", *dimensions)),
        _metadata,
        *(sa.Column(name, local_runs.c[name].type, info={"dimension": True}) for name in (*KEYS, *dimensions)),
        *(sa.Column(part.name, SQL_TYPES[part.kind]) for part in parts),
        info={"source": source},
    )


_FINE = _cube("team", "agent_type", "model", "status")
_PEOPLE = _cube("user", "team")
# From the smallest: the first that can answer is taken.
CUBES = (
    _cube(parts=_ALL),
    *(_cube(dimension, source=_FINE) for dimension in ("status", "model", "team", "agent_type")),
    _cube("user", source=_PEOPLE),
    _PEOPLE,
    _FINE,
)


def source_of(cube: sa.Table) -> sa.Table:
    """What it is made from; a source comes after the cubes that are made from it."""
    return cube.info["source"]


def dimensions_of(cube: sa.Table) -> tuple[str, ...]:
    """The columns by which it is split."""
    return tuple(column.name for column in cube.c if column.info)


def smallest(dimensions: Collection[str], parts: Collection[Counted], single: Collection[str]) -> sa.Table:
    """The smallest relation from which these figures can be counted, split and filtered by these columns.

    `single`: the columns that have one value in each group of the answer.
    """
    for cube in CUBES:
        if all(name in dimensions_of(cube) for name in dimensions) and _can_give(cube, parts, single):
            return cube
    return local_runs


def _can_give(cube: sa.Table, parts: Iterable[Counted], single: Collection[str]) -> bool:
    whole = all(name in single for name in dimensions_of(cube))
    return all(part.name in cube.c if part.adds or whole else part.needs <= set(dimensions_of(cube)) for part in parts)


def columns(part: Counted, relation: sa.Table) -> frozenset[str]:
    """What `part` reads of a relation that `smallest` gave for it."""
    return frozenset((part.name,)) if part.name in relation.c else part.needs


def added_up(
    cube: sa.Table, names: Collection[str], source: sa.Table, *conditions: sa.ColumnElement[bool]
) -> sa.Select:
    """What the cube's columns of these names hold of the rows of its source that meet these conditions."""
    dimensions = [source.c[name] for name in dimensions_of(cube)]
    parts = [part.over(source) for part in _ALL if part.name in names]
    kept = [column for column in dimensions if column.name in names]
    return sa.select(*kept, *parts).where(*conditions).group_by(*dimensions)
