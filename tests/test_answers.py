"""Every figure is right, and the same from both engines."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_analytics.answer import Answer, decode, encode
from agent_analytics.asking import Engine, answer
from agent_analytics.cache import Cache
from agent_analytics.catalog import DIMENSIONS, MEASURES
from agent_analytics.errors import Forbidden, QueryError
from agent_analytics.organizations import set_organization
from agent_analytics.period import Days, Last
from agent_analytics.query import Query
from agent_analytics.scope import Scope, parse_principal, scope_of
from agent_analytics.store import Record
from given import NOW, a_run, ingest, two_organizations

PRINCIPALS = (
    "ORG_ADMIN:acme",
    "ORG_ADMIN:globex",
    "PLATFORM_ADMIN",
    "TEAM_LEAD:acme:ada:Search,a'b\"c\\, d",
    "TEAM_LEAD:acme:nobody",
    "MEMBER:globex:zoë",
)


def one(ask: Any, *measures: str) -> dict[str, Any]:
    return ask(Query(measures)).records()[0]


def test_counts_and_rates(record: Record, ask) -> None:
    statuses = ["succeeded"] * 3 + ["failed", "cancelled"]
    ingest(record, [a_run(f"{number}", status=status) for number, status in enumerate(statuses)])
    ingest(record, [a_run("r", status="running", ended_at=None)])
    found = one(ask, "runs", "succeeded", "failed", "cancelled", "running", "success_rate")
    assert found == {
        "runs": 6,
        "succeeded": 3,
        "failed": 1,
        "cancelled": 1,
        "running": 1,
        "success_rate": 3 / 5,
    }


def test_money_is_exact_and_a_ratio_is_of_sums(record: Record, ask) -> None:
    failed = a_run("b", status="failed", input_cost=None, output_cost=None, cost="0.100000003")
    ingest(record, [a_run("a", input_cost="0.000000001", output_cost="0.2"), failed])
    found = one(ask, "cost", "input_cost", "wasted_cost", "cost_per_success", "cost_coverage")
    assert found == {
        "cost": Decimal("0.300000004"),
        "input_cost": Decimal("0.000000001"),
        "wasted_cost": Decimal("0.100000003"),
        "cost_per_success": Decimal("0.300000004"),
        "cost_coverage": 1.0,
    }


def test_unknown_is_not_zero(record: Record, ask) -> None:
    unknown = dict.fromkeys(("input_tokens", "output_tokens", "input_cost", "output_cost", "ended_at"))
    ingest(record, [a_run("a", **unknown)])
    measures = ("input_tokens", "total_tokens", "cost", "duration_avg", "duration_p95", "cost_per_success")
    assert one(ask, *measures) == dict.fromkeys(measures)
    assert one(ask, "cost_coverage") == {"cost_coverage": 0.0}


def test_a_total_is_unknown_where_a_part_is_and_a_sum_is_of_the_known(record: Record, ask) -> None:
    ingest(record, [a_run("a"), a_run("b", output_tokens=None, input_cost=None, output_cost=None)])
    assert one(ask, "input_tokens", "total_tokens") == {"input_tokens": 2000, "total_tokens": 1100}


def test_an_empty_answer_counts_nothing_and_knows_nothing(record: Record, ask) -> None:
    set_organization(record, "acme")
    assert one(ask, "runs", "cost", "success_rate") == {"runs": 0, "cost": None, "success_rate": None}


def test_durations_are_interpolated_between_neighbours(record: Record, ask) -> None:
    ends = ["09:00:01", "09:00:02", "09:00:04", "09:00:10.5"]
    ingest(record, [a_run(end, ended_at=f"2026-03-28T{end}Z") for end in ends])
    found = one(ask, "duration_avg", "duration_p50", "duration_p95", "duration_p99")
    assert found == {"duration_avg": 4.375, "duration_p50": 3.0, "duration_p95": 9.525, "duration_p99": 10.305}


def test_a_run_belongs_to_the_local_day_in_which_it_started(record: Record, ask) -> None:
    set_organization(record, "acme", timezone="America/Los_Angeles")
    ingest(record, [a_run("a", started_at="2026-03-28T06:59:59Z"), a_run("b", started_at="2026-03-28T07:00:00Z")])
    days = Query(["runs"], ["day", "hour", "week", "month"], period=Days(date(2026, 3, 27), date(2026, 3, 28)))
    assert tuple(row for row in ask(days).rows if row[-1]) == (
        (date(2026, 3, 27), datetime(2026, 3, 27, 23), date(2026, 3, 23), date(2026, 3, 1), 1),
        (date(2026, 3, 28), datetime(2026, 3, 28), date(2026, 3, 23), date(2026, 3, 1), 1),
    )


def test_another_zone_moves_the_runs_to_other_days(record: Record, ask) -> None:
    ingest(record, [a_run("a", started_at="2026-03-28T23:30:00Z")])
    assert (date(2026, 3, 28), 1) in ask(Query(["runs"], ["day"])).rows
    set_organization(record, "acme", timezone="Asia/Kolkata")
    assert (date(2026, 3, 29), 1) in ask(Query(["runs"], ["day"])).rows


def test_the_greatest_come_first_and_the_unattributed_keep_their_place(record: Record, ask) -> None:
    teams = ["Search", None, None, "Payments", "Payments", "Payments"]
    ingest(record, [a_run(f"{number}", team=team) for number, team in enumerate(teams)])
    assert ask(Query(["runs"], ["team"])).rows == (("Payments", 3), (None, 2), ("Search", 1))
    assert ask(Query(["runs"], ["team"], order="team")).rows == (("Payments", 3), ("Search", 1), (None, 2))
    assert ask(Query(["runs"], ["team"], limit=1)).rows == (("Payments", 3),)


def test_a_filter_takes_several_values_and_none(record: Record, ask) -> None:
    ingest(record, [a_run("a"), a_run("b", team=None), a_run("c", team="Payments"), a_run("d", status="failed")])
    assert ask(Query(["runs"], where={"team": ["Search", None]})).rows == ((3,),)
    assert ask(Query(["runs"], where={"team": ["Search"], "status": ["failed"]})).rows == ((1,),)
    assert ask(Query(["runs"], where={"day": ["2026-03-28"]})).rows == ((4,),)


def test_each_role_sees_its_own(record: Record, ask) -> None:
    own = [a_run("a"), a_run("b", user="bo"), a_run("c", team="Payments"), a_run("d", user="bo", team=None)]
    ingest(record, [*own, a_run("e", organization="globex")])
    seen = {who: ask(Query(["runs"]), scope_of(parse_principal(who))).rows[0][0] for who in SEEN}
    assert seen == SEEN


SEEN = {
    "PLATFORM_ADMIN": 5,
    "ORG_ADMIN:acme": 4,
    "ORG_ADMIN:globex": 1,
    "TEAM_LEAD:acme:bo:Payments": 3,
    "TEAM_LEAD:acme:bo": 2,
    "MEMBER:acme:ada": 2,
    "MEMBER:acme:nobody": 0,
}


@pytest.mark.parametrize(
    "zones",
    [
        ("Europe/Berlin", "Australia/Lord_Howe"),
        pytest.param(("America/St_Johns", "Pacific/Chatham"), marks=pytest.mark.full),
        pytest.param(("Pacific/Apia", "Pacific/Pago_Pago"), marks=pytest.mark.full),
        pytest.param(("Asia/Kathmandu", "Africa/Casablanca"), marks=pytest.mark.full),
    ],
)
def test_two_engines_agree(record: Record, tmp_path: Path, zones: tuple[str, str]) -> None:
    """Cells equal, types equal, for any question in any scope."""
    two_organizations(record, zones)
    with Cache.open(tmp_path / "cache.duckdb") as cache:
        cache.follow(record)

        @given(query=_queries(), principal=st.sampled_from(PRINCIPALS))
        def check(query: Query, principal: str) -> None:
            scope = scope_of(parse_principal(principal))
            ours, theirs = (_said(query, scope, engine) for engine in (cache, record))
            if isinstance(ours, str) or isinstance(theirs, str):
                assert ours == theirs
                return
            assert replace(ours, engine="", as_of=NOW) == replace(theirs, engine="", as_of=NOW)
            assert [list(map(type, row)) for row in ours.rows] == [list(map(type, row)) for row in theirs.rows]
            assert Answer.from_json(decode(encode(ours.to_json()))) == ours

        check()


def _said(query: Query, scope: Scope, engine: Engine) -> Answer | str:
    """The answer, or why there is none: a value that the scope does not know, a measure that it may not ask."""
    try:
        return answer(query, scope, engine, NOW)
    except (QueryError, Forbidden) as error:
        return str(error)


@st.composite
def _queries(draw: st.DrawFn) -> Query:
    measures = draw(st.lists(st.sampled_from(sorted(MEASURES)), min_size=1, max_size=6, unique=True))
    by = draw(st.lists(st.sampled_from(sorted(DIMENSIONS)), max_size=3, unique=True))
    where = draw(st.fixed_dictionaries({}, optional={name: _some(values) for name, values in FILTERS.items()}))
    order = draw(st.one_of(st.none(), st.sampled_from([*measures, *by])))
    limit = draw(st.one_of(st.none(), st.just(3)))
    other = bool(limit and by) and draw(st.booleans())
    return Query(measures, by, where, draw(_PERIODS), order, limit, other, draw(st.booleans()))


def _some(values: list[str | None]) -> st.SearchStrategy[list[str | None]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)


FILTERS: dict[str, list[str | None]] = {
    "team": [None, "Search", "a'b\"c, d", "nobody"],
    "user": [None, "ada", "zoë"],
    "agent_type": ["review", "= 1+1"],
    "model": [None, "m-1"],
    "status": ["failed", "running"],
    "error_category": [None, "timeout"],
    "day": ["2026-03-28", "2026-03-30"],
}
_PERIODS = st.one_of(
    st.integers(1, 50).map(Last),
    st.tuples(st.dates(date(2026, 2, 20), date(2026, 4, 3)), st.integers(0, 40)).map(
        lambda drawn: Days(drawn[0], drawn[0] + timedelta(days=drawn[1]))
    ),
)


@pytest.mark.parametrize("dimension", ["team", "user", "agent_type", "model", "status", "day", "hour", "week"])
def test_the_parts_add_up_to_the_whole(record: Record, ask, dimension: str) -> None:
    two_organizations(record)
    measures = ("runs", "failed", "cost", "input_tokens", "retries")
    (whole,) = ask(Query(measures)).rows
    parts = ask(Query(measures, [dimension])).rows
    assert tuple(sum(part[1 + position] or 0 for part in parts) for position in range(len(measures))) == whole


def test_a_frame_keeps_its_types(record: Record, ask) -> None:
    ingest(record, [a_run("a"), a_run("b", team=None, input_cost=None, output_cost=None, input_tokens=None)])
    day = Days(date(2026, 3, 28), date(2026, 3, 28))
    frame = ask(Query(["runs", "cost", "input_tokens", "success_rate"], ["team", "day"], period=day)).frame
    kinds = ["str", "datetime64[s]", "Int64", "object", "Int64", "float64"]
    assert [str(kind) for kind in frame.dtypes] == kinds
    assert frame["cost"].tolist() == [Decimal("0.004500000"), None]
    assert frame["team"].isna().tolist() == [False, True]


def test_what_is_asked_of_now_follows_now(record: Record, ask) -> None:
    ingest(record, [a_run("a")])
    assert ask(Query(["runs"], period=Last(1)), now=datetime(2026, 3, 28, 22, tzinfo=UTC)).rows == ((1,),)
    assert ask(Query(["runs"], period=Last(1)), now=datetime(2026, 3, 29, 1, tzinfo=UTC)).rows == ((0,),)
