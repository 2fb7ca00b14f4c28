"""A rank tells how many did more: not who, not how much, and in a small team nothing."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_analytics.cache import Cache
from agent_analytics.errors import Forbidden
from agent_analytics.organizations import set_organization
from agent_analytics.privacy import Rank, rank
from agent_analytics.ranking import _ranked
from agent_analytics.scope import parse_principal
from agent_analytics.store import Record
from given import NOW, a_run, ingest

Ranked = Callable[..., Rank]


def teamwork(runs: dict[str, int], team: str = "Platform", **fields: Any) -> list[dict[str, Any]]:
    """So many runs of each person."""
    return [
        a_run(f"{team}-{user}-{number}-{fields}", user=user, team=team, **fields)
        for user, count in runs.items()
        for number in range(count)
    ]


@pytest.fixture
def ranked(record: Record, engine: Any) -> Ranked:
    def of(who: str, team: str = "Platform", now: Any = NOW) -> Rank:
        if isinstance(engine, Cache):
            engine.follow(record)
        return rank(engine, parse_principal(who), team, now)

    return of


def test_equals_share_a_rank(record: Record, ranked: Ranked) -> None:
    ingest(record, teamwork({"ada": 5, "bo": 3, "cy": 3, "di": 2, "eve": 1}))
    places = {user: ranked(f"MEMBER:acme:{user}").place for user in ("ada", "bo", "cy", "di", "eve")}
    assert places == {"ada": 1, "bo": 2, "cy": 2, "di": 4, "eve": 5}
    assert ranked("MEMBER:acme:cy").text == "You are the 2nd most active of 5 in Platform this month."
    assert ranked("TEAM_LEAD:acme:ada:Platform").text == "You are the most active of 5 in Platform this month."


def test_it_counts_this_month_on_the_organizations_calendar(record: Record, ranked: Ranked) -> None:
    set_organization(record, "acme", timezone="America/Los_Angeles")
    ingest(record, teamwork(dict.fromkeys("abcde", 2)))
    ingest(record, teamwork({"f": 1}, started_at="2026-03-01T07:59:00Z", ended_at=None))
    ingest(record, teamwork({"a": 1}, started_at="2026-03-01T08:00:00Z", ended_at=None))
    assert (ranked("MEMBER:acme:a").place, ranked("MEMBER:acme:b").place) == (1, 2)
    assert ranked("MEMBER:acme:a").people == 5
    assert (
        ranked("MEMBER:acme:a:Platform", now=NOW + timedelta(days=3)).text == "You have no runs in Platform this month."
    )


@given(st.lists(st.integers(1, 50), min_size=1, max_size=4))
def test_in_a_small_team_it_says_the_same_whatever_everybody_did(counts: list[int]) -> None:
    runs = {f"u{number}": count for number, count in enumerate(counts)}
    texts = {_of_counts(runs, user).text for user in runs}
    assert texts == {"You are among the 5 most active in Platform this month."}


@given(st.lists(st.integers(1, 9), min_size=5, max_size=9), st.randoms())
def test_it_is_the_same_whoever_of_the_others_did_what(counts: list[int], random: Any) -> None:
    """So that no rank, asked however often, tells one of them from another."""
    others = counts[1:]
    random.shuffle(others)
    before, after = ({f"u{n}": count for n, count in enumerate(each)} for each in (counts, [counts[0], *others]))
    assert _of_counts(before, "u0") == _of_counts(after, "u0")


def _of_counts(runs: dict[str, int], user: str) -> Rank:
    return _ranked("Platform", runs, runs[user])


def test_the_unknown_and_other_teams_count_for_nobody(record: Record, ranked: Ranked) -> None:
    ingest(record, teamwork({"ada": 1, "bo": 1, "cy": 1, "di": 1, "eve": 1}))
    ingest(record, [a_run(f"x{number}", user=None, team="Platform") for number in range(9)])
    ingest(record, teamwork({"bo": 9, "fay": 9}, "Search"))
    found = ranked("MEMBER:acme:ada")
    assert (found.place, found.people) == (1, 5)


def test_a_foreign_team_answers_as_a_missing_one(record: Record, ranked: Ranked) -> None:
    ingest(record, teamwork(dict.fromkeys(["ada", "bo", "cy", "di", "eve"], 1)))
    for team in ("Platform", "Nothing"):
        with pytest.raises(Forbidden, match=f"^You have no rank in {team}: you have no runs in it this month\\.$"):
            ranked("MEMBER:acme:zoe", team)
    assert ranked("MEMBER:acme:zoe:Platform").text == "You have no runs in Platform this month."
    with pytest.raises(Forbidden, match="you belong to no organization"):
        ranked("PLATFORM_ADMIN")
