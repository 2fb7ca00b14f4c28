"""Controlled rounding: a table in whole numbers whose rows add up exactly, and whose columns are rounded sums.

Bacharach, M. (1966), "Matrix rounding problems", Management Science 12.
"""

from collections.abc import Iterable
from itertools import permutations

# Parts are counted in so fine shares of a whole that cutting off what is finer cannot add up to the blur.
FINE = 2**128
_BLUR = 2**32

Shares = list[int]


def added_up(rows: Iterable[Shares], columns: int = 5) -> Shares:
    """Column by column; zeros where there are no rows."""
    return [sum(column) for column in zip([0] * columns, *rows, strict=False)]


def rounded(table: list[Shares], sums: list[int]) -> list[list[int]]:
    """The table in whole nanos: each share up or down, and so each column's sum; each row adds up to its sum.

    The columns' sums, negated, are one more row: then every column must add up to 0.
    """
    # Up is away from the first amount's sign, so that the same is rounded, whichever period comes first.
    sign = -1 if next((share for row in table for share in row if share), 0) < 0 else 1
    shares = [*table, [-share for share in added_up(table)]]
    pairs = [[divmod(sign * share + _BLUR, FINE) for share in row] for row in shares]
    floors = [[floor for floor, _ in row] for row in pairs]
    rests = [[rest if rest > 2 * _BLUR else 0 for _, rest in row] for row in pairs]
    missing = [sign * total - sum(row) for total, row in zip([*sums, -sum(sums)], floors, strict=True)]
    raised = _raised(rests, missing)
    _settle(rests, raised, [-floor - up for floor, up in zip(added_up(floors), added_up(raised), strict=True)])
    return [[sign * sum(pair) for pair in zip(*rows, strict=True)] for rows in zip(floors[:-1], raised, strict=False)]


def _raised(rests: list[Shares], missing: list[int]) -> list[list[int]]:
    """Which to round up (1): as many in each row as are missing, those with the largest remainders.

    What a column has lost or won in the rows before counts too, which keeps its sum near.
    """
    owed, raised = [0] * len(rests[0]), []
    for row, count in zip(rests, missing, strict=True):
        owed = [known + rest for known, rest in zip(owed, row, strict=True)]
        ranked = sorted((place for place, rest in enumerate(row) if rest), key=owed.__getitem__, reverse=True)
        raised.append([int(place in ranked[:count]) for place in range(len(row))])
        owed = [known - FINE * up for known, up in zip(owed, raised[-1], strict=True)]
    return raised


def _settle(rests: list[Shares], raised: list[list[int]], owed: list[int]) -> None:
    """Exchange who is raised within rows until no column is owed any (negative: has too many)."""
    while any(owed):
        start = owed.index(min(owed))
        ways: dict[int, list[tuple[int, int, int]]] = {start: []}
        for row, giver, taker in _exchanges(rests, raised) * len(owed):
            if giver in ways and taker not in ways:
                ways[taker] = [*ways[giver], (row, giver, taker)]
        # There always is one: bounds in whole numbers that fractions can meet, whole numbers can meet too.
        end = next(place for place in ways if owed[place] > 0)
        for row, giver, taker in ways[end]:
            raised[row][giver], raised[row][taker] = 0, 1
        owed[start], owed[end] = owed[start] + 1, owed[end] - 1


def _exchanges(rests: list[Shares], raised: list[list[int]]) -> list[tuple[int, int, int]]:
    """In which rows which column can give to which other: (row, giver, taker)."""
    return [
        (row, giver, taker)
        for row, (rest, ups) in enumerate(zip(rests, raised, strict=True))
        for giver, taker in permutations(range(len(ups)), 2)
        if ups[giver] and rest[taker] and not ups[taker]
    ]
