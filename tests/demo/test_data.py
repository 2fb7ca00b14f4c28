"""The demo's data look like a real platform's, are the same for the same seed, and pass the real ingest."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from statistics import mean, median
from typing import Any

import pytest

from agent_analytics.asking import answer
from agent_analytics.demo import data
from agent_analytics.demo.people import ORGANIZATIONS, PERSONAS
from agent_analytics.period import Last, time_zone
from agent_analytics.query import Query
from agent_analytics.scope import Principal, scope_of
from agent_analytics.settings import Settings
from agent_analytics.store import Record

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
ZONES = {organization.slug: time_zone(organization.timezone) for organization in ORGANIZATIONS}
Run = dict[str, Any]


@pytest.fixture(scope="module")
def told() -> list[Run]:
    return list(data.runs(NOW))


def of(runs: Iterable[Run], **fields: Any) -> list[Run]:
    return [run for run in runs if all(run[name] == value for name, value in fields.items())]


def local_start(run: Run) -> datetime:
    return datetime.fromisoformat(run["started_at"]).astimezone(ZONES[run["organization"]])


def test_a_seed_gives_the_same_runs_again_and_another_seed_others(told: list[Run]) -> None:
    assert list(data.runs(NOW)) == told
    assert list(data.runs(NOW, seed=8)) != told


def test_there_are_about_200_000_runs_of_120_local_days_in_three_organizations(told: list[Run]) -> None:
    assert 190_000 < len(told) < 210_000
    for slug, zone in ZONES.items():
        today = NOW.astimezone(zone).date()
        assert {local_start(run).date() for run in of(told, organization=slug)} == {
            today - timedelta(days=age) for age in range(120)
        }
    sizes = Counter(run["organization"] for run in told)
    assert sizes["acme"] > 1.5 * sizes["globex"] > 3 * sizes["initech"]


def test_ids_are_unique_and_nothing_is_told_of_the_future(told: list[Run]) -> None:
    assert len({run["run_id"] for run in told}) == len(told)
    assert max(run["started_at"] for run in told) <= NOW.isoformat()
    assert max(run["ended_at"] for run in told if run["ended_at"]) <= NOW.isoformat()


@pytest.mark.parametrize("slug", ZONES)
def test_people_work_in_their_own_daytime_and_rest_at_weekends(told: list[Run], slug: str) -> None:
    starts = [local_start(run) for run in of(told, organization=slug) if run["user"]]
    assert mean(8 <= start.hour < 19 for start in starts) > 0.85
    days = Counter(start.date() for start in starts)
    assert median(count for day, count in days.items() if day.weekday() > 4) < 0.3 * median(
        count for day, count in days.items() if day.weekday() < 5
    )


def test_there_is_a_holiday_and_growth(told: list[Run]) -> None:
    days = Counter(local_start(run).date() for run in of(told, organization="acme") if run["user"])
    weeks = defaultdict(list)
    for day, count in sorted(days.items()):
        if day.weekday() < 5:
            weeks[day.isocalendar()[:2]].append(count)
    whole = [counts for counts in weeks.values() if len(counts) == 5]
    assert [min(counts) < 0.4 * max(counts) for counts in whole].count(True) == 1
    assert sum(whole[-1]) > 1.25 * sum(whole[0])


def test_people_are_many_unequal_and_some_are_in_two_teams_or_none(told: list[Run]) -> None:
    for slug in ZONES:
        own = of(told, organization=slug)
        counts = Counter(run["user"] for run in own if run["user"])
        assert len(counts) >= 10
        assert max(counts.values()) > 3 * median(counts.values())
        teams = defaultdict(set)
        for run in own:
            teams[run["user"]].add(run["team"])
        assert any(len(both) == 2 for user, both in teams.items() if user)
        assert 0.02 < mean(run["team"] is None for run in own) < 0.25
        assert 0.05 < mean(run["user"] is None for run in own) < 0.35


@pytest.mark.parametrize(
    "persona", [persona for persona in PERSONAS if persona.organization], ids=lambda each: each.key
)
def test_each_persona_has_runs_in_their_teams(told: list[Run], persona: Any) -> None:
    own = of(told, organization=persona.organization, user=persona.sub)
    assert len(own) > 500
    assert {run["team"] for run in own} == set(persona.teams or [None])


def test_the_user_is_what_the_claim_of_the_settings_says() -> None:
    users = {run["user"] for run in data.runs(NOW, claim="email")}
    assert {persona.email for persona in PERSONAS if persona.organization} < users
    assert all("@" in user for user in users if user)


def test_tokens_hold_their_parts(told: list[Run]) -> None:
    known = [run for run in told if run["input_tokens"] is not None]
    assert 0.99 < len(known) / len(told) < 1
    assert all(
        (run["cache_read_tokens"] or 0) + (run["cache_write_tokens"] or 0) <= run["input_tokens"] for run in known
    )
    assert all((run["reasoning_tokens"] or 0) <= run["output_tokens"] for run in known)
    fixes = of(known, organization="acme", agent_type="bug-fix")
    assert sum(run["cache_read_tokens"] for run in fixes) > 0.6 * sum(run["input_tokens"] for run in fixes)


def test_what_failed_says_why_and_nothing_else_does(told: list[Run]) -> None:
    shares = Counter(run["status"] for run in told)
    assert 0.04 < shares["failed"] / len(told) < 0.1
    assert 0.01 < shares["cancelled"] / len(told) < 0.05
    assert len({run["error_category"] for run in told}) > 6
    assert all(
        (run["error_category"] is not None) == (run["error_message"] is not None) == (run["status"] == "failed")
        for run in told
    )
    assert sum(run["retries"] for run in of(told, status="failed")) > sum(run["retries"] for run in told) / 2


@pytest.mark.parametrize("slug", ZONES)
def test_something_is_running_at_any_hour(told: list[Run], slug: str) -> None:
    watches = of(told, organization=slug, agent_type="log-watch")
    assert {run["status"] for run in watches[:-2]} == {"succeeded"}
    assert all(one["ended_at"] is None or one["ended_at"] > next["started_at"] for one, next in pairwise(watches))
    running = of(told, organization=slug, status="running")
    assert 0 < len(running) < 100
    assert {(run["ended_at"], run["error_category"]) for run in running} == {(None, None)}


def test_agent_types_differ(told: list[Run]) -> None:
    seconds = defaultdict(list)
    for run in told:
        if run["ended_at"]:
            seconds[run["agent_type"]].append(
                (datetime.fromisoformat(run["ended_at"]) - datetime.fromisoformat(run["started_at"])).total_seconds()
            )
    assert median(seconds["support-reply"]) < 60 < 10 * 60 < median(seconds["bug-fix"])


def test_the_real_ingest_takes_it_all(settings: Settings, record: Record) -> None:
    summary = data.seed(settings, record, NOW)
    assert summary.rejected == 0
    assert summary.accepted == sum(1 for _ in data.runs(NOW))
    assert {slug: record.zone(slug) for slug in ZONES} == {slug: zone.key for slug, zone in ZONES.items()}

    (coverage,) = asked(record, Query(["cost_coverage"], period=Last(120)))[0]
    assert 0.85 < coverage < 0.99
    costs = dict(asked(record, Query(["cost"], ["model"], period=Last(120))))
    assert costs.pop("acme-coder-14b") is None
    assert min(costs.values()) > 10

    own = {"agent_type": ["code-review"]}
    price = [price for _, price in asked(record, Query(["cost_per_success"], ["week"], own, Last(60)))]
    assert price[-2] > Decimal("1.4") * price[1]

    again = data.seed(settings, record, NOW)
    assert (again.rejected, again.accepted, again.updated) == (0, 0, 0)


def asked(record: Record, query: Query, now: datetime = NOW) -> list[tuple[Any, ...]]:
    return list(answer(query, scope_of(Principal("ORG_ADMIN", "acme")), record, now).rows)
