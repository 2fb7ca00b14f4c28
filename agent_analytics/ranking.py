"""A person's rank in a team: how many did more, and never who or how much."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from agent_analytics.asking import Engine, answer
from agent_analytics.errors import Forbidden
from agent_analytics.period import Last
from agent_analytics.query import Query
from agent_analytics.scope import FEWEST, Principal, Scope

# So many days hold the whole of any month up to today.
LONGEST_MONTH = 31


@dataclass(frozen=True)
class Rank:
    """The place among `people` active in a team this month; equals share the first place of theirs.

    Both are None in a team with fewer than FEWEST active people, and `place` where the person is not active.
    `text` says it in a sentence.
    """

    team: str
    place: int | None
    people: int | None
    text: str


def rank(engine: Engine, principal: Principal, team: str, now: datetime) -> Rank:
    """The person's rank by runs that started this month, on their organization's calendar.

    Raises Forbidden for a team in which they neither are nor have runs, as for one that does not exist.
    """
    runs = _runs_of(engine, principal, team, now)
    own = runs.get(principal.user or "")
    if own is None and team not in principal.teams:
        raise Forbidden(f"You have no rank in {team}: you have no runs in it this month.")
    if own is None:
        return Rank(team, None, None, f"You have no runs in {team} this month.")
    return _ranked(team, runs, own)


def _ranked(team: str, runs: Mapping[str, int], own: int) -> Rank:
    if len(runs) < FEWEST:
        # True of everybody in any such team: it tells nobody's figure.
        return Rank(team, None, None, f"You are among the {FEWEST} most active in {team} this month.")
    place = 1 + sum(others > own for others in runs.values())
    most = "most active" if place == 1 else f"{_ordinal(place)} most active"
    return Rank(team, place, len(runs), f"You are the {most} of {len(runs)} in {team} this month.")


def _runs_of(engine: Engine, principal: Principal, team: str, now: datetime) -> dict[str, int]:
    """How many runs each known person of the team started this month."""
    if principal.organization is None:
        raise Forbidden("You have no rank: you belong to no organization.")
    everybody = Scope(principal.role, principal.organization, "To be ranked among a team, nothing of it told.")
    found = answer(Query(["runs"], ["month", "team", "user"], period=Last(LONGEST_MONTH)), everybody, engine, now)
    month = found.days.last.replace(day=1)
    return {user: runs for started, of, user, runs in found.rows if (started, of) == (month, team) and user and runs}


def _ordinal(number: int) -> str:
    """
    >>> [_ordinal(number) for number in (2, 3, 11, 21, 112)]
    ['2nd', '3rd', '11th', '21st', '112th']
    """
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
