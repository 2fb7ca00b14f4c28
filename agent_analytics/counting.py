"""How SQL counts: one figure, over runs or over what was added up of them before."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

Kind = Literal["integer", "money", "float"]
Column = sa.ColumnElement
Expression = Callable[[sa.FromClause], Column]

SQL_TYPES: dict[Kind, sa.types.TypeEngine] = {
    "integer": sa.BigInteger(),
    "money": sa.Numeric(38, 9),
    "float": sa.Double(),
}


@dataclass(frozen=True)
class Counted:
    """A figure that SQL counts by `expression` over runs, of which it needs the columns `needs`.

    `adds`: a sum of parts is the whole, so that it can also be added up from a relation that holds it by its name.
    Over no runs at all it is `empty`: 0 for a count, None (unknown) for a sum.
    """

    name: str
    kind: Kind
    needs: frozenset[str]
    expression: Expression
    adds: bool = True
    empty: int | None = None

    def over(self, relation: sa.FromClause) -> Column:
        """The expression over runs, or what `relation` holds of it, of the same type in both engines."""
        value = self._held(relation.c[self.name]) if self.name in relation.c else self.expression(relation)
        return sa.cast(value, SQL_TYPES[self.kind]).label(self.name)

    def unknown(self) -> Column:
        """No figure, of the same type."""
        return sa.cast(sa.null(), SQL_TYPES[self.kind]).label(self.name)

    def _held(self, column: Column) -> Column:
        """Sums of sums; of what does not add up, the one figure that there is."""
        value = sa.func.sum(column) if self.adds else sa.func.max(column)
        return value if self.empty is None else sa.func.coalesce(value, sa.literal_column(str(self.empty)))


def count(name: str, needs: str = "", condition: Expression | None = None) -> Counted:
    def expression(runs: sa.FromClause) -> Column:
        every = sa.func.count()
        return every if condition is None else every.filter(condition(runs))

    return Counted(name, "integer", frozenset(needs.split()), expression, empty=0)


def total(name: str, value: Expression | None = None, needs: str = "", kind: Kind = "integer") -> Counted:
    summed = value or (lambda runs: runs.c[name])
    return Counted(name, kind, frozenset((needs or name).split()), lambda runs: sa.func.sum(summed(runs)))


def quantile(name: str, share: float, column: str) -> Counted:
    """Exact, interpolated between neighbours as `percentile_cont` does; null for no values."""

    def within(runs: sa.FromClause) -> Column:
        return sa.func.percentile_cont(sa.literal_column(str(share), sa.Double)).within_group(runs.c[column])

    return Counted(name, "float", frozenset((column,)), within, adds=False)


def distinct(name: str, column: str) -> Counted:
    """How many different values there are, unknown ones left out."""
    return Counted(
        name,
        "integer",
        frozenset((column,)),
        lambda runs: sa.func.count(runs.c[column].distinct()),
        adds=False,
        empty=0,
    )
