"""Check 9: nobody's figures follow, by linear algebra, from all that a member or a lead may ask.

The system is set up for whoever knows most: who is in which line is taken as known, and all that anybody in the asker's
teams ever did. Unknown is what each other person added to each line, and what of it waits. Ranks are no equations:
`test_ranking` shows that they are the same whoever of the others did what.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import chain, combinations

import numpy as np
import pytest
from security.algebra import determined
from security.inventions import FIRST, Invention

from agent_analytics.asking import answers
from agent_analytics.period import Days
from agent_analytics.privacy import publish, rule
from agent_analytics.query import Query
from agent_analytics.scope import FEWEST, Scope, anonymous_scope_of, parse_principal, scope_of
from agent_analytics.store import Record
from given import ingest

# What follows from figures does not depend on the server; that both publish the same is tested elsewhere.
pytestmark = pytest.mark.parametrize("server", ["embedded"], indirect=True)
FINDING = Invention(people=38, teams=7, days=14, agent_types=5, seed=1)
ASKERS = (
    "MEMBER:acme:u0",
    "MEMBER:acme:u20",
    "TEAM_LEAD:acme:u1:T0",
    "TEAM_LEAD:acme:u2:T5",
    "TEAM_LEAD:acme:u3:T0,T6",
    "TEAM_LEAD:acme:boss:T1,T2,T3",
)
TIMES = ("day", "week", "month")
Figures = tuple[int, Decimal]


@dataclass(frozen=True)
class Part:
    """What a user did for a team with an agent type on a day, and with which line it was published (None: it waits)."""

    line: int | None
    user: str | None
    team: str | None
    day: date
    agent_type: str


Parts = dict[Part, Figures]
Lines = dict[int, tuple[date, str]]


def parts_of(record: Record) -> Parts:
    """Of runs: those published, the corrections, and what waits of both: all that ended."""
    with record.organization("acme") as connection:
        rows = connection.execute(
            """
            with published as materialized (
              select run_id, line, cost - coalesce(lag(cost) over before, 0) as cost,
                     (row_number() over before = 1)::integer as runs
              from analytics.published_runs window before as (partition by run_id order by line)
            ), told as materialized (
              select run_id, sum(cost) as cost from published group by run_id
            ), versions as (
              select * from published
              union all
              select run_id, null, runs.cost - coalesce(told.cost, 0), (told.cost is null)::integer
              from analytics.runs left join told using (run_id)
            )
            select line, "user", team, day, agent_type, sum(versions.runs), sum(versions.cost)
            from versions join analytics.local_runs using (run_id)
            group by 1, 2, 3, 4, 5
            having sum(versions.runs) <> 0 or sum(versions.cost) <> 0
            """
        ).fetchall()
    return {Part(*key): (int(runs), cost) for *key, runs, cost in rows}


def lines_of(record: Record) -> Lines:
    with record.organization("acme") as connection:
        rows = connection.execute("select line, day, agent_type from analytics.published_lines").fetchall()
    return {line: (day, agent_type) for line, day, agent_type in rows}


class Asker:
    """One who asks everything that they may, and keeps all of it."""

    def __init__(self, record: Record, who: str) -> None:
        self._record = record
        self.principal = parse_principal(who)
        self.teams = frozenset(self.principal.teams)
        self.equations: set[frozenset[int]] = set()

    def knows(self, part: Part) -> bool:
        return part.user in (None, self.principal.user) or part.team in self.teams

    def asks(self, invention: Invention, step: int, parts: Parts, everything: bool) -> None:
        """Each figure must be the sum of the lines that it is taken to be: else the system would prove nothing."""
        lines = lines_of(self._record)
        shown = {line for line in lines if self._is_shown(line, parts)}
        types = sorted({lines[line][1] for line in shown})
        queries = list(_questions(types, invention.days, everything))
        totals = _totals(parts)
        for found in answers(queries, self.scope(), self._record, invention.now(step)):
            cells = _cells(found.query, lines, shown)
            for *key, runs, cost in found.rows:
                cell = cells.pop(tuple(key), frozenset())
                assert (runs or 0, cost or 0) == tuple(
                    map(sum, zip((0, 0), *(totals[line] for line in cell), strict=True))
                )
                self.equations.add(cell)
            assert not cells

    def scope(self) -> Scope:
        return anonymous_scope_of(self.principal)

    def _is_shown(self, line: int, parts: Parts) -> bool:
        """The rule, told once more: outside of what the asker knows nobody, or a crowd of which nobody is the most."""
        teams, costs = defaultdict(set), defaultdict(Decimal)
        for part, (_, cost) in parts.items():
            if part.line == line and part.user is not None:
                teams[part.user].add(part.team)
                costs[part.user] += cost
        others = teams.keys() - {self.principal.user}
        if all(teams[user] <= self.teams for user in others):
            return True
        left = [abs(costs[user]) for user in others if not teams[user] & self.teams]
        return len(left) >= FEWEST and 2 * max(left) <= sum(left)

    def recovers(self, parts: Parts) -> int:
        """How many figures of one person follow."""
        unknown = [part for part in parts if not self.knows(part)]
        equations = [[part.line in cell for part in unknown] for cell in self.equations]
        return _recovered(unknown, np.array(equations, np.int64))


class OfAll(Asker):
    """One from whom no line is kept."""

    def scope(self) -> Scope:
        return replace(super().scope(), teams=())

    def _is_shown(self, line: int, parts: Parts) -> bool:
        return True


def _recovered(unknown: Sequence[Part], equations: np.ndarray) -> int:
    """Of each person: each part, and their sums by day and agent type, by day, and in all."""
    targets: set[tuple[int, ...]] = set()
    for finer in (lambda part: part, lambda part: (part.day, part.agent_type), lambda part: part.day, lambda part: ()):
        groups = defaultdict(list)
        for place, part in enumerate(unknown):
            groups[part.user, finer(part)].append(place)
        targets.update(map(tuple, groups.values()))
    rows = np.zeros((len(targets), len(unknown)), np.int64)
    for row, places in zip(rows, sorted(targets), strict=True):
        row[list(places)] = 1
    return int(determined(equations, rows).sum())


def _totals(parts: Parts) -> dict[int | None, Figures]:
    totals: dict[int | None, Figures] = defaultdict(lambda: (0, Decimal(0)))
    for part, (runs, cost) in parts.items():
        before = totals[part.line]
        totals[part.line] = (before[0] + runs, before[1] + cost)
    return totals


def _questions(types: Sequence[str], days: int, everything: bool) -> Iterator[Query]:
    """Every grouping over all days with every filter; and for each day, and all up to it, the figures of each type."""
    whole = Days(FIRST.date(), FIRST.date() + timedelta(days=days - 1))
    splits = list(chain.from_iterable(combinations((*TIMES, "agent_type"), size) for size in range(5)))
    chosen = [(), *((name,) for name in types), *combinations(types, 2)] if everything else [()]
    for names in chosen:
        where = {"agent_type": names} if names else {}
        for by in splits:
            yield Query(["runs", "cost"], by, where, whole)
        for period in _periods(whole) if everything and len(names) < 2 else ():
            for by in ((), ("agent_type",)):
                yield Query(["runs", "cost"], by, where, period)


def _periods(whole: Days) -> Iterator[Days]:
    for place in range(len(whole)):
        day = whole.first + timedelta(days=place)
        yield Days(day, day)
        yield Days(whole.first, day)


def _cells(query: Query, lines: Lines, shown: Iterable[int]) -> dict[tuple[object, ...], frozenset[int]]:
    """The lines that each group of the answer adds up."""
    cells: dict[tuple[object, ...], set[int]] = defaultdict(set) if query.by else {(): set()}
    allowed = dict(query.where).get("agent_type")
    assert isinstance(query.period, Days)
    for line in shown:
        day, agent_type = lines[line]
        if query.period.first <= day <= query.period.last and (allowed is None or agent_type in allowed):
            at = {
                "day": day,
                "week": day - timedelta(days=day.weekday()),
                "month": day.replace(day=1),
                "agent_type": agent_type,
            }
            cells[tuple(at[name] for name in query.by)].add(line)
    return {key: frozenset(found) for key, found in cells.items()}


def told(record: Record, invention: Invention, askers: Sequence[Asker], everything: bool = False) -> Parts:
    """All steps of publication, and all that the askers ask after each; what came of it."""
    for batch, step in zip(invention.batches(), invention.steps, strict=True):
        ingest(record, batch)
        publish(record, invention.now(step))
        parts = parts_of(record)
        for asker in askers:
            asker.asks(invention, step, parts, everything and step == invention.steps[-1])
    return parts


def test_nobody_is_recovered_from_all_that_may_be_asked(record: Record) -> None:
    askers = [Asker(record, who) for who in ASKERS]
    parts = told(record, FINDING, askers, everything=True)
    assert {asker.principal: asker.recovers(parts) for asker in askers} == {asker.principal: 0 for asker in askers}
    assert all(len(asker.equations) > 50 for asker in askers)


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.full) for seed in range(3, 30))])
def test_nobody_is_recovered_in_any_organization(record: Record, seed: int) -> None:
    invention = Invention(12 + 7 * (seed % 5), 2 + seed % 7, 3 + seed % 11, 1 + seed % 6, 100 + seed)
    teams = [f"T{place}" for place in range(invention.teams)]
    leads = (f"TEAM_LEAD:acme:u1:{','.join(teams[:count])}" for count in (1, 2, 3))
    askers = [Asker(record, who) for who in ("MEMBER:acme:u0", *leads)]
    parts = told(record, invention, askers)
    assert [asker.recovers(parts) for asker in askers] == [0] * len(askers)


def test_a_lead_of_several_teams_needs_lines_kept_from_them(record: Record) -> None:
    """Negative control: the same lines, all of them shown."""
    most = ",".join(f"T{number}" for number in range(FINDING.teams - 1))
    askers = [asks(record, f"TEAM_LEAD:acme:boss:{most}") for asks in (OfAll, Asker)]
    parts = told(record, FINDING, askers)
    careless, careful = (asker.recovers(parts) for asker in askers)
    assert careless > 0
    assert careful == 0


def test_lines_of_five_people_alone_give_people_away_to_leads(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: lines, but without the rule that takes teams out of them."""
    monkeypatch.setattr(
        rule, "tells_of_nobody", lambda shares: len({share.user for share in shares} - {None}) >= FEWEST
    )
    askers = [OfAll(record, f"TEAM_LEAD:acme:boss:T{number}") for number in range(FINDING.teams)]
    parts = told(record, FINDING, askers)
    assert sum(asker.recovers(parts) for asker in askers) > 0


def test_plain_at_least_five_gives_people_away(record: Record) -> None:
    """Negative control: free filters over whatever covers five people, solved in the same way."""
    for batch in FINDING.batches():
        ingest(record, batch)
    parts = parts_of(record)
    assert sum(_recovered_freely(parts, day) for day in {part.day for part in parts}) > 80


def _recovered_freely(parts: Parts, day: date) -> int:
    """By a member, from one day's answers with filters by teams and agent types."""
    of_day = [part for part in parts if part.day == day and part.user is not None]
    unknown = [part for part in of_day if part.user != "u0"]
    teams, types = {part.team for part in of_day}, {part.agent_type for part in of_day}
    team_sets = [teams, *({team} for team in teams), *(teams - {team} for team in teams)]
    equations = []
    for some_teams in team_sets:
        for some_types in (types, *({kind} for kind in types)):
            cell = [part for part in of_day if part.team in some_teams and part.agent_type in some_types]
            if len({part.user for part in cell}) >= FEWEST:
                equations.append([part in cell for part in unknown])
    return _recovered(unknown, np.array(equations, np.int64))


def test_lines_cover_nearly_all_and_what_waits_is_the_rest(record: Record) -> None:
    for batch, step in zip(FINDING.batches(), FINDING.steps, strict=True):
        ingest(record, batch)
        [published] = publish(record, FINDING.now(step))
        period = Days(FIRST.date(), FIRST.date() + timedelta(days=FINDING.days))
        query, admin = Query(["runs", "cost"], period=period), parse_principal("ORG_ADMIN:acme")
        (runs, cost), (all_runs, all_cost) = (
            answers([query], scope, record, FINDING.now(step))[0].rows[0]
            for scope in (anonymous_scope_of(admin), scope_of(admin))
        )
        waiting = _totals(parts_of(record))[None]
        assert (runs + waiting[0], cost + waiting[1]) == (all_runs, all_cost)
        assert published.waiting >= waiting[0]
        print(f"after {step} days: {runs / all_runs:.1%} of the runs, {cost / all_cost:.1%} of the cost")
    assert runs / all_runs > 0.98
    assert abs(1 - cost / all_cost) < 0.02
