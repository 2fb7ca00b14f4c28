"""The rule of publication: which shares may be added up so that the sum tells of nobody. Plain data, no database."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any

from agent_analytics.scope import FEWEST
from agent_analytics.tables import OTHER


@dataclass(frozen=True)
class Share:
    """What one user (None: unknown) did for one team (None: none) with one agent type on one day: its figures."""

    number: int
    day: date
    agent_type: str
    user: str | None
    team: str | None
    figures: dict[str, Any] = field(compare=False)

    @property
    def cost(self) -> Decimal:
        return self.figures["cost"] or Decimal(0)


@dataclass(frozen=True)
class Line:
    """Shares that are published as one sum, under this day and agent type."""

    day: date
    agent_type: str
    shares: tuple[Share, ...]

    @property
    def people(self) -> int:
        return len({share.user for share in self.shares} - {None})


def tells_of_nobody(shares: Iterable[Share]) -> bool:
    """Whether nobody can be told from the sum, whichever one team or one person is known and taken out of it.

    At least FEWEST people are left, and none of them has more than half of what the people left cost. A person is
    taken out with each of their teams. What was done by nobody known hides nobody.
    """
    costs: defaultdict[str, Decimal] = defaultdict(Decimal)
    known: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for share in shares:
        if share.user is not None:
            costs[share.user] += share.cost
            known["user", share.user].add(share.user)
            if share.team is not None:
                known["team", share.team].add(share.user)
    # A correction may be negative.
    crowd = _Crowd({user: abs(cost) for user, cost in costs.items()})
    return all(crowd.hides_all_but(out) for out in ((), *known.values()))


class _Crowd:
    """People and what they cost, the dearest first."""

    def __init__(self, costs: Mapping[str, Decimal]) -> None:
        self._costs = dict(sorted(costs.items(), key=itemgetter(1), reverse=True))
        self._total = sum(costs.values())

    def hides_all_but(self, out: Collection[str]) -> bool:
        if len(self._costs) - len(out) < FEWEST:
            return False
        greatest = next(cost for user, cost in self._costs.items() if user not in out)
        return 2 * greatest <= self._total - sum(self._costs[user] for user in out)


def lines_of(shares: Iterable[Share]) -> list[Line]:
    """The lines that can be published of these shares; of those that are in none, none can be.

    The same for the same shares in any order.
    """
    waiting = sorted(shares, key=attrgetter("number"))
    found: list[Line] = []
    while lines := _round(waiting):
        found += lines
        taken = {share.number for line in lines for share in line.shares}
        waiting = [share for share in waiting if share.number not in taken]
    return found


def _round(shares: Iterable[Share]) -> list[Line]:
    """Day by day: each agent type's slice, with what waits of it from the days before; what is left, as OTHER."""
    waiting: defaultdict[str, list[Share]] = defaultdict(list)
    lines = []
    for day, of_day in groupby(sorted(shares, key=attrgetter("day", "agent_type", "number")), attrgetter("day")):
        for agent_type, slice in groupby(of_day, attrgetter("agent_type")):
            own = list(slice)
            waiting[agent_type] += own
            lines += _taken(day, agent_type, waiting[agent_type], own)
        every = [share for name in sorted(waiting) for share in waiting[name]]
        lines += _taken(day, OTHER, every)
        waiting = _by_agent_type(every)
    return lines


def _taken(day: date, agent_type: str, *choices: list[Share]) -> list[Line]:
    """The line of the first choice that may be one; its shares are taken out of the first."""
    for shares in choices:
        if tells_of_nobody(shares):
            line = Line(day, agent_type, tuple(shares))
            taken = {share.number for share in shares}
            choices[0][:] = [share for share in choices[0] if share.number not in taken]
            return [line]
    return []


def _by_agent_type(shares: Iterable[Share]) -> defaultdict[str, list[Share]]:
    found: defaultdict[str, list[Share]] = defaultdict(list)
    for share in shares:
        found[share.agent_type].append(share)
    return found
