"""Published lines: what members see of all, when, and what they are refused."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agent_analytics import export
from agent_analytics.anonymous import is_published
from agent_analytics.answer import Answer
from agent_analytics.asking import answer
from agent_analytics.cache import Cache
from agent_analytics.catalog import MEASURES
from agent_analytics.errors import Forbidden, QueryError, ServiceError
from agent_analytics.organizations import set_organization
from agent_analytics.period import Days, Last
from agent_analytics.privacy import Published, publish
from agent_analytics.query import Query
from agent_analytics.scope import anonymous_scope_of, parse_principal, scope_of
from agent_analytics.store import Record
from given import NOW, YESTERDAY, ingest, runs_of

MARCH = Days(date(2026, 3, 1), date(2026, 3, 30))


def ask(record: Record, *measures: str, who: str = "MEMBER:acme:u0", now: datetime = NOW, **asked: Any) -> Answer:
    query = Query(measures or ["runs"], **({"period": MARCH} | asked))
    return answer(query, anonymous_scope_of(parse_principal(who)), record, now)


def published(record: Record, now: datetime = NOW) -> Published:
    (found,) = publish(record, now)
    return found


def test_a_line_is_a_day_and_an_agent_type(record: Record) -> None:
    ingest(record, [*runs_of(range(12)), *runs_of(range(9), "test", status="failed")])
    assert published(record) == Published("acme", 2, 12, 0, None)
    found = ask(record, "runs", "cost", "success_rate", by=["day", "agent_type"], order="day", limit=9)
    assert found.rows == ((YESTERDAY, "review", 12, Decimal(12), 1.0), (YESTERDAY, "test", 9, Decimal(9), 0.0))
    assert ask(record, "runs", "wasted_cost", "duration_avg").rows == ((21, Decimal(9), 300.0),)
    assert ask(record, where={"agent_type": ["test"]}).rows == ((9,),)


def test_an_answer_says_why_and_as_of_when(record: Record) -> None:
    ingest(record, runs_of(range(12)))
    published(record, NOW - timedelta(hours=2))
    found = ask(record)
    assert found.as_of == NOW - timedelta(hours=2)
    assert found.reason.startswith("You see figures of all of acme that tell of nobody: each adds up at least 5 people")
    assert found.notice == "As of 2026-03-30T10:00: runs that had ended, of days that were over."


def test_what_is_not_published_is_unknown_and_not_zero(record: Record) -> None:
    set_organization(record, "acme")
    found = ask(record, "runs", "failed", "cost")
    assert found.rows == ((None, None, None),)
    assert found.notice.startswith("Nothing is published yet: an organization with fewer than 10 active people")
    ingest(record, runs_of(range(12)))
    published(record)
    days = dict(ask(record, "failed", by=["day"], period=Days(date(2026, 3, 28), YESTERDAY)).rows)
    assert days == {date(2026, 3, 28): None, YESTERDAY: 0}


def test_only_days_that_are_over_there_and_runs_that_have_ended(record: Record) -> None:
    set_organization(record, "acme", timezone="Pacific/Auckland")
    late = datetime(2026, 3, 29, 10, tzinfo=UTC)
    ingest(record, runs_of(range(12), started_at=late.isoformat()))
    ingest(record, runs_of(range(12), "test", status="running", started_at=late.isoformat(), ended_at=None))
    assert published(record, datetime(2026, 3, 29, 10, 59, tzinfo=UTC)).lines == 0
    assert published(record, datetime(2026, 3, 29, 11, 1, tzinfo=UTC)).lines == 1
    assert ask(record).rows == ((12,),)


@pytest.mark.parametrize(
    "few",
    [
        pytest.param(runs_of(range(5), "rare"), id="too few but for a team"),
        pytest.param(runs_of(range(7), "rare", team="Big") + runs_of(range(7, 11), "rare"), id="most in one team"),
        pytest.param(runs_of(range(9), "rare") + runs_of([9], "rare", cost="10"), id="one has more than half"),
        pytest.param(
            runs_of(range(9), "rare") + runs_of([9, 10], "rare", cost="10"), id="one has more than half but for another"
        ),
        pytest.param(
            runs_of([0, 1, 2, 3], "rare") + runs_of(range(20, 29), "rare", user=None), id="the unknown hide nobody"
        ),
    ],
)
def test_what_would_tell_of_somebody_waits(record: Record, few: list[dict[str, Any]]) -> None:
    ingest(record, few)
    ingest(record, runs_of(range(20), day=date(2026, 3, 20)))
    assert published(record).waiting == len(few)
    assert ask(record, by=["agent_type"]).rows == (("review", 20),)


def test_slices_that_are_too_small_alone_become_other(record: Record) -> None:
    ingest(record, [*runs_of(range(20)), *runs_of(range(4), "a"), *runs_of(range(4, 8), "b")])
    assert published(record) == Published("acme", 2, 20, 0, None)
    assert ask(record, by=["agent_type"]).rows == (("review", 20), ("Other", 8))


def test_a_slice_that_waits_is_merged_with_the_next_one_of_its_type(record: Record) -> None:
    ingest(record, [*runs_of(range(20), day=date(2026, 3, 27)), *runs_of(range(4), "rare", date(2026, 3, 27))])
    assert published(record, NOW - timedelta(days=1)) == Published("acme", 1, 20, 4, None)
    ingest(record, runs_of(range(4, 8), "rare", date(2026, 3, 28)))
    assert published(record) == Published("acme", 1, 8, 0, None)
    assert ask(record, by=["day", "agent_type"], limit=9, where={"agent_type": ["rare"]}).rows == (
        (date(2026, 3, 28), "rare", 8),
    )


def test_publishing_again_changes_nothing(record: Record) -> None:
    ingest(record, [*runs_of(range(12)), *runs_of(range(3), "rare")])
    first = published(record)
    assert (first.lines, first.waiting) == (1, 3)
    assert published(record, NOW + timedelta(hours=1)) == Published("acme", 0, 0, 3, None)
    assert ask(record).as_of == NOW


def test_late_runs_and_corrections_have_lines_of_their_own(record: Record) -> None:
    ingest(record, runs_of(range(12)))
    published(record)
    ingest(record, runs_of(range(2), cost="3", updated_at="2026-03-30T01:00:00Z"))
    late = runs_of(range(3))
    ingest(record, [run | {"run_id": f"late-{run['run_id']}"} for run in late])
    assert published(record) == Published("acme", 0, 0, 5, None)
    assert ask(record, "runs", "cost").rows == ((12, Decimal(12)),)
    ingest(record, runs_of(range(2, 8), cost="3", updated_at="2026-03-30T01:00:00Z"))
    assert published(record) == Published("acme", 1, 8, 3, None)
    assert ask(record, "runs", "cost").rows == ((12, Decimal(28)),)


def test_a_small_organization_publishes_nothing_and_says_so(record: Record) -> None:
    ingest(record, runs_of(range(9)))
    off = "9 people were active in the last 30 days; 10 must be"
    assert published(record) == Published("acme", 0, 0, 9, off)
    ingest(record, runs_of([9]))
    assert published(record) == Published("acme", 1, 10, 0, None)


def test_a_lead_of_several_teams_sees_no_line_that_leaves_too_few(record: Record) -> None:
    ingest(record, [*runs_of(range(12)), *runs_of(range(9), "test")])
    published(record)
    seen = {who: ask(record, who=who).rows[0][0] for who in SEEN}
    assert seen == SEEN


SEEN = {
    "MEMBER:acme:u0": 21,
    "ORG_ADMIN:acme": 21,
    "TEAM_LEAD:acme:boss:T0": 21,
    "TEAM_LEAD:acme:u8:T0": 21,
    "TEAM_LEAD:acme:boss:T0,T1": 12,
    "TEAM_LEAD:acme:boss:T0,T1,T2": 9,
    "TEAM_LEAD:acme:boss:T0,T1,T2,T3": 21,
}


def test_the_period_before_is_counted_in_whole_days(record: Record) -> None:
    """Of a running day's predecessor other figures are cut at the time of day; a line cannot be."""
    ingest(record, runs_of(range(12), started_at="2026-03-29T23:00:00Z", ended_at=None))
    published(record)
    found = ask(record, period=Last(1), before=True)
    assert (found.rows, found.days, found.until) == (((12,),), Days(YESTERDAY, YESTERDAY), None)


def test_what_is_beyond_a_limit_is_added_up(record: Record) -> None:
    ingest(record, [*runs_of(range(12)), *runs_of(range(9), "test"), *runs_of(range(8), "write")])
    published(record)
    found = ask(record, by=["agent_type"], limit=1, other=True)
    assert (found.rows, found.other, found.others) == ((("review", 12),), (17,), 2)


def test_the_runs_behind_a_line_are_exported_to_nobody(record: Record) -> None:
    ingest(record, runs_of(range(12)))
    published(record)
    scope = anonymous_scope_of(parse_principal("MEMBER:acme:u0"))
    with record.snapshot("acme") as connection:
        found = answer(Query(["runs"], period=MARCH), scope, export.Moment(connection), NOW)
        for kind in export.RUN_FORMATS.values():
            with pytest.raises(Forbidden, match="the runs behind them are shown to nobody"):
                b"".join(kind(found, scope, connection))


def test_the_cache_holds_no_lines(record: Record, tmp_path: Path) -> None:
    set_organization(record, "acme")
    with Cache.open(tmp_path / "cache.duckdb") as cache, pytest.raises(ServiceError, match="Ask the record"):
        answer(Query(["runs"]), anonymous_scope_of(parse_principal("MEMBER:acme:u0")), cache, NOW)


@pytest.mark.parametrize("measure", ["running", "duration_p95", "active_users"])
def test_what_is_no_sum_is_refused(record: Record, measure: str) -> None:
    set_organization(record, "acme")
    with pytest.raises(Forbidden, match=f"{measure} may not be asked for anonymously"):
        ask(record, measure)


@pytest.mark.parametrize("dimension", ["team", "user", "model", "status", "error_category", "hour", "organization"])
def test_nothing_finer_than_a_line_is_told(record: Record, dimension: str) -> None:
    set_organization(record, "acme")
    with pytest.raises(Forbidden, match="not split by"):
        ask(record, by=[dimension])
    with pytest.raises(Forbidden, match="not filtered by"):
        ask(record, where={dimension: ["x"]})


def test_an_agent_type_of_which_nothing_is_published_is_as_a_missing_one(record: Record) -> None:
    ingest(record, [*runs_of(range(12)), *runs_of(range(3), "secret")])
    published(record)
    for name in ("secret", "nothing"):
        with pytest.raises(QueryError, match=rf"^Unknown agent type '{name}'\. Known: review\.$"):
            ask(record, where={"agent_type": [name]})


def test_every_measure_that_adds_up_equals_the_admins_where_all_is_published(record: Record) -> None:
    ingest(record, [*runs_of(range(12), status="failed"), *runs_of(range(15), "test", cost=None, input_tokens=None)])
    published(record)
    admin = parse_principal("ORG_ADMIN:acme")
    query = Query([name for name, each in MEASURES.items() if is_published(each)], ["agent_type"], period=MARCH)
    ours, theirs = (answer(query, scope, record, NOW).rows for scope in (anonymous_scope_of(admin), scope_of(admin)))
    assert ours == theirs
