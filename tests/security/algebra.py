"""What follows from sums: exact, by elimination modulo a prime that no small system's determinants have as a factor."""

import numpy as np

PRIME = 2**31 - 1
Matrix = np.ndarray


def eliminated(rows: Matrix) -> tuple[Matrix, list[int]]:
    """The rows in reduced echelon form, and the columns of their leading ones."""
    left = np.unique(rows % PRIME, axis=0).astype(np.int64)
    pivots: list[int] = []
    for column in range(left.shape[1]):
        place = len(pivots)
        candidates = np.flatnonzero(left[place:, column])
        if not candidates.size:
            continue
        found = place + candidates[0]
        left[[place, found]] = left[[found, place]]
        left[place] = left[place] * pow(int(left[place, column]), -1, PRIME) % PRIME
        others = np.flatnonzero(left[:, column])
        others = others[others != place]
        left[others] = (left[others] - left[others, column, None] * left[place]) % PRIME
        pivots.append(column)
    return left[: len(pivots)], pivots


def determined(equations: Matrix, targets: Matrix) -> Matrix:
    """Which of the targets, sums of unknowns with coefficients 0 and 1, the equations' left sides determine."""
    if not equations.size or not targets.size:
        return np.zeros(len(targets), bool)
    reduced, pivots = eliminated(equations)
    return ~((targets - targets[:, pivots] @ reduced) % PRIME).any(axis=1)
