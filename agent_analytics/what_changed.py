"""What changed between two periods: the difference in cost and in runs, split into its factors, nothing left over.

Both periods' figures come from answers alone: ask `question` for each, then compare them with `what_changed`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from itertools import pairwise
from math import prod
from operator import mul
from typing import Any, NamedTuple

from agent_analytics.answer import Answer
from agent_analytics.errors import QueryError
from agent_analytics.period import Period
from agent_analytics.query import Filters, Query
from agent_analytics.rounding import FINE, Shares, added_up, rounded

FACTORS = ("volume", "mix", "failures", "tokens_per_run", "price")
RUN_FACTORS = FACTORS[:2]

_MEASURES = ("runs", "input_tokens", "output_tokens", "input_cost", "output_cost", "cost")
_EXACT = Context(prec=100)

_Cell = tuple[str | None, str | None]
_Parts = tuple["Part", ...]
_Link = tuple[int, int]
# From 1 by way of counts to an amount, before and after each: a link's ratio to the one above it is a factor.
_Chain = tuple[_Link, ...]


class Part(NamedTuple):
    """What one factor did: `factor` is one of FACTORS, `amount` in USD or in runs, to nine digits."""

    factor: str
    amount: Decimal


@dataclass(frozen=True)
class Contribution:
    """One agent type's and model's share of the change (None: without one). Its parts add up to `total`."""

    agent_type: str | None
    model: str | None
    parts: tuple[Part, ...]
    total: Decimal


@dataclass(frozen=True)
class Total:
    """A period as a whole: `cost` in USD, what is unknown counted as 0."""

    runs: int
    cost: Decimal


@dataclass(frozen=True)
class Change:
    """The difference between two periods, split exactly.

    `parts` (USD, in the order of FACTORS) add up to the difference in cost; `run_parts` (runs, in the order of
    RUN_FACTORS) to the difference in runs. `contributions` and `run_contributions` split each of these parts by
    agent type and model: each factor's amounts add up to that factor's part. Greatest totals first, of either sign.
    """

    before: Total
    after: Total
    parts: tuple[Part, ...]
    contributions: tuple[Contribution, ...]
    run_parts: tuple[Part, ...]
    run_contributions: tuple[Contribution, ...]


def question(period: Period, where: Mapping[str, Iterable[str | None]] | Filters = (), before: bool = False) -> Query:
    """What must be asked of each period, or of the one before it. Raises QueryError for unknown filters."""
    return Query(_MEASURES, ("agent_type", "model", "status"), where, period, before=before)


def what_changed(before: Answer, after: Answer) -> Change:
    """The change from one answer to `question` to another, split into what moved it.

    Cost is the sum, over agent types and models (cells), failed and other runs, and input, output and other cost, of

        runs x the cell's share of them x share of those that failed (or not) x tokens per run x cost per token

    which are `volume`, `mix`, `failures`, `tokens_per_run` and `price`. Each gets its Shapley value: what it adds
    when it moves from before to after, averaged over all orders in which the five can move (Shapley, L. S. (1953),
    "A value for n-person games"). So nothing is left over, what did not move gets 0, the factors' order does not
    matter, and the periods swapped give the opposite.

    Cost without tokens in one of the periods, and cost that is neither input's nor output's, is counted by the run:
    its quantity is 1 a run, its price the cost per run. Unknown cost and tokens count as 0.

    What is undefined in one period is taken from the other, so that only the first defined factor moves: a cell that
    is new or gone has a share of 0, but no quantities or prices, and moves `mix` (and `volume`, as the number of
    runs moved); from no runs at all to some, all is `volume`.

    Amounts are rounded to nine digits, each up or down, such that they add up to the last digit over factors and
    over cells; what is whole already, such as 0, stays (Bacharach, M. (1966), "Matrix rounding problems").

    Raises QueryError where an answer is not one to `question`, or the two were asked with different filters.
    """
    _check(before, after)
    first, second = _Figures.of(before.rows), _Figures.of(after.rows)
    # Sorting by size keeps equals in this order.
    cells = sorted(first.runs_of | second.runs_of, key=lambda cell: [(name is None, name or "") for name in cell])
    costs = _split(FACTORS, {cell: _cost_chains(cell, first, second) for cell in cells})
    runs = _split(RUN_FACTORS, {cell: _run_chains(cell, first, second) for cell in cells})
    return Change(first.total(), second.total(), *costs, *runs)


def _check(before: Answer, after: Answer) -> None:
    queries, rows = (before.query, after.query), (*before.rows, *after.rows)
    if any(query != question(query.period, query.where, query.before) for query in queries) or not all(
        row[3] for row in rows
    ):
        raise QueryError("What changed is told from two answers to what_changed.question(period, where).")
    if (before.reason, before.zone) != (after.reason, after.zone):
        raise QueryError("The two answers are of different people or places. Ask both as the same person.")
    if len({frozenset((name, frozenset(values)) for name, values in query.where) for query in queries}) > 1:
        raise QueryError("The two periods were asked with different filters. Use the same for both.")


class _Group(NamedTuple):
    """Failed or other runs of a cell, added up; costs in nano-dollars."""

    runs: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    input_cost: int = 0
    output_cost: int = 0
    cost: int = 0

    def plus(self, figures: Iterable[int | Decimal | None]) -> "_Group":
        return _Group(*(known + _whole(figure) for known, figure in zip(self, figures, strict=True)))

    def kinds(self) -> tuple[_Link, ...]:
        """Tokens and their cost: input, output, and the rest, which has none."""
        rest = self.cost - self.input_cost - self.output_cost
        return (self.input_tokens, self.input_cost), (self.output_tokens, self.output_cost), (0, rest)


@dataclass(frozen=True)
class _Figures:
    """A period's groups by cell and whether they failed, and its runs by cell and in all."""

    groups: defaultdict[tuple[_Cell, bool], _Group]
    runs_of: Counter[_Cell]
    runs: int

    @classmethod
    def of(cls, rows: Iterable[tuple[Any, ...]]) -> "_Figures":
        groups: defaultdict[tuple[_Cell, bool], _Group] = defaultdict(_Group)
        runs_of: Counter[_Cell] = Counter()
        for agent_type, model, status, *figures in rows:
            cell, failed = (agent_type, model), status == "failed"
            groups[cell, failed] = groups[cell, failed].plus(figures)
            runs_of[cell] += figures[0]
        return cls(groups, runs_of, runs_of.total())

    def total(self) -> Total:
        return Total(self.runs, _amount(sum(group.cost for group in self.groups.values())))


def _whole(figure: int | Decimal | None) -> int:
    """A count as it is, money in nano-dollars, the unknown as 0."""
    return int(_EXACT.scaleb(figure, 9)) if isinstance(figure, Decimal) else figure or 0


def _amount(nanos: int) -> Decimal:
    return _EXACT.scaleb(Decimal(nanos), -9)


def _cost_chains(cell: _Cell, before: _Figures, after: _Figures) -> list[_Chain]:
    """1, runs, the cell's runs, those that failed or not, their tokens, nano-dollars."""
    above = ((1, 1), (before.runs, after.runs), (before.runs_of[cell], after.runs_of[cell]))
    pairs = ((before.groups[cell, failed], after.groups[cell, failed]) for failed in (True, False))
    return [(*above, *links) for pair in pairs for links in _links(*pair)]


def _links(before: _Group, after: _Group) -> Iterator[_Chain]:
    runs = (before.runs, after.runs)
    for kinds in zip(before.kinds(), after.kinds(), strict=True):
        tokens, costs = zip(*kinds, strict=True)
        by_run = any(cost and not count for count, cost in kinds)
        yield runs, runs if by_run else tokens, costs


def _run_chains(cell: _Cell, before: _Figures, after: _Figures) -> list[_Chain]:
    """As for cost, where each run costs one and no more than the runs and the cell's share of them can move."""
    own = (before.runs_of[cell], after.runs_of[cell])
    return [((1, 1), (before.runs, after.runs), own, own, own, (own[0] * 10**9, own[1] * 10**9))]


def _split(factors: tuple[str, ...], chains: dict[_Cell, list[_Chain]]) -> tuple[_Parts, tuple[Contribution, ...]]:
    """The parts of all cells' chains, and of each cell's."""
    table = [added_up(map(_shapley, own)) for own in chains.values()]
    nanos = rounded(table, [sum(chain[-1][1] - chain[-1][0] for chain in own) for own in chains.values()])
    rows = zip(chains, nanos, strict=True)
    found = [Contribution(*cell, _parts(factors, row), _amount(sum(row))) for cell, row in rows]
    return _parts(factors, added_up(nanos)), tuple(sorted(found, key=lambda each: abs(each.total), reverse=True))


def _parts(factors: tuple[str, ...], nanos: list[int]) -> _Parts:
    return tuple(Part(factor, _amount(amount)) for factor, amount in zip(factors, nanos, strict=False))


def _shapley(chain: _Chain) -> Shares:
    """The Shapley value of each of five factors of a product, in fine shares.

    For a product it is the factor's difference, times the average of the product of the others on the straight way
    from before to after (Owen, G. (1972), "Multilinear extensions of games"). That product is of the fourth degree,
    which Boole's rule averages exactly from five points.
    """
    ratios = [_ratios(above, below) for above, below in pairwise(chain)]
    points = [[(4 - step) * before + step * after for before, after, _ in ratios] for step in range(5)]
    divisor = 90 * 4**4 * prod(denominator for *_, denominator in ratios)
    parts = []
    for place, (before, after, _) in enumerate(ratios):
        others = (prod(point[:place]) * prod(point[place + 1 :]) for point in points)
        parts.append(_cut((after - before) * sum(map(mul, (7, 32, 12, 32, 7), others)), divisor))
    return parts


def _ratios(above: _Link, below: _Link) -> tuple[int, int, int]:
    """Before and after over one denominator; where one is undefined (0 / 0) it is as the other."""
    (above_before, above_after), (before, after) = above, below
    if not above_before:
        above_before, before = above_after, after
    if not above_after:
        above_after, after = above_before, before
    return before * above_after, after * above_before, (above_before * above_after) or 1


def _cut(dividend: int, divisor: int) -> int:
    """In fine shares, cut off towards zero: so a swap of the periods flips the sign and nothing else."""
    shares = abs(dividend) * FINE // divisor
    return shares if dividend >= 0 else -shares
