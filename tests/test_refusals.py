"""What cannot be answered is refused in one line that says why, and tells nobody a name that is not theirs."""

from datetime import date, datetime, timedelta

import pytest

from agent_analytics.errors import Forbidden, QueryError
from agent_analytics.period import Days
from agent_analytics.query import Query
from agent_analytics.scope import parse_principal, scope_of
from agent_analytics.store import Record
from given import NOW, a_run, ingest

LEAD = scope_of(parse_principal("TEAM_LEAD:acme:ada:Search"))
MEMBER = scope_of(parse_principal("MEMBER:acme:ada"))


def refused(ask, query: Query, scope=LEAD) -> str:
    with pytest.raises(QueryError) as failure:
        ask(query, scope)
    return str(failure.value)


def test_people_are_not_counted_for_who_sees_only_their_own(record: Record, ask) -> None:
    ingest(record, [a_run("a"), a_run("b", user="bo")])
    with pytest.raises(Forbidden) as failure:
        ask(Query(["runs", "active_users"]), MEMBER)
    reason = "it counts the people of a team or an organization, and you see your own runs"
    assert str(failure.value) == f"active_users may not be asked for as MEMBER: {reason}."
    for principal in ("TEAM_LEAD:acme:bo:Search", "ORG_ADMIN:acme", "PLATFORM_ADMIN"):
        assert ask(Query(["active_users"]), scope_of(parse_principal(principal))).rows == ((2,),)


@pytest.mark.parametrize(
    ("dimension", "known"),
    [("team", "Growth, Search"), ("user", "ada, bo"), ("model", "m-1, m-2"), ("agent_type", "review"), ("hour", None)],
)
def test_a_name_of_others_is_as_unknown_as_one_that_there_is_not(
    record: Record, ask, dimension: str, known: str | None
) -> None:
    """The lead's own runs in other teams count as theirs; who is refused learns of no other name."""
    theirs = [a_run("a", model="m-1"), a_run("b", user="bo", model="m-2"), a_run("c", team="Growth", model="m-1")]
    foreign = {name: f"xyz-of-{name}" for name in ("team", "user", "model", "agent_type")}
    others = [a_run("d", **foreign), a_run("e", organization="globex", **{**foreign, "team": "Globex"})]
    ingest(record, [*theirs, *others])
    if known is None:
        assert ask(Query(["runs"], where={"hour": ["2026-03-01T09:00"]}), LEAD).rows == ((0,),)
        return
    exists, is_not = (
        refused(ask, Query(["runs"], where={dimension: [name]})) for name in (foreign[dimension], "qqq-of-nobody")
    )
    label = dimension.replace("_", " ")
    assert exists == f"Unknown {label} '{foreign[dimension]}'. Known: {known}."
    assert is_not == exists.replace(foreign[dimension], "qqq-of-nobody")


def test_a_name_that_is_near_is_offered_of_ones_own_alone(record: Record, ask) -> None:
    ingest(record, [a_run("a"), a_run("b", user="bo", team="Payments")])
    near = "Unknown team 'Serch'. Did you mean 'Search'? Known: Search."
    assert refused(ask, Query(["runs"], where={"team": [None, "Search", "Serch"]})) == near
    assert refused(ask, Query(["runs"], where={"team": ["Paymnts"]})) == "Unknown team 'Paymnts'. Known: Search."
    assert refused(ask, Query(["runs"], where={"organization": ["globex"]})) == (
        "Unknown organization 'globex'. Known: acme."
    )
    assert refused(ask, Query(["runs"], where={"team": ["x"]}), MEMBER) == "Unknown team 'x'. Known: Search."


def test_a_name_is_known_whenever_it_ran(record: Record, ask) -> None:
    ingest(record, [a_run("a", started_at="2024-01-01T00:00:00Z"), a_run("b", team=None)])
    assert ask(Query(["runs"], where={"team": ["Search"]}), LEAD).rows == ((0,),)


def test_a_time_that_cannot_be_read_says_how_to_write_it(record: Record, ask) -> None:
    ingest(record, [a_run("a")])
    assert refused(ask, Query(["runs"], where={"day": ["1 March"]})).endswith("Write it like 2026-03-01.")
    assert refused(ask, Query(["runs"], where={"hour": ["2026-03-01"]})).endswith("Write it like 2026-03-01T14:00.")


def test_more_rows_than_can_be_answered_are_refused_unless_limited(record: Record, ask) -> None:
    ingest(record, [a_run(f"{number}", team=f"team {number}") for number in range(12)])
    year = Days(date(2025, 3, 30), date(2026, 3, 30))
    said = refused(ask, Query(["runs"], ["team", "hour"], {"user": ["ada"]}, year))
    rows = 12 * ((NOW.replace(tzinfo=None) - datetime(2025, 3, 30)) // timedelta(hours=1) + 1)
    assert said.startswith(
        f"This would be {rows:,} rows, one for each team and hour; at most 100,000 can be asked for."
    )
    assert len(ask(Query(["runs"], ["team", "hour"], {"user": ["ada"]}, year, limit=100_000), LEAD).rows) == 12


def test_days_to_come_are_left_out_and_that_is_said(record: Record, ask) -> None:
    ingest(record, [a_run("a"), a_run("b", started_at="2026-04-01T09:00:00Z")])
    partly = ask(Query(["runs"], ["day"], period=Days(date(2026, 3, 28), date(2026, 4, 3))))
    assert partly.notice == "Counted up to 2026-03-30: the days to 2026-04-03 are still to come."
    assert partly.days == Days(date(2026, 3, 28), date(2026, 3, 30))
    assert partly.rows == tuple((date(2026, 3, day), runs) for day, runs in ((28, 1), (29, 0), (30, 0)))
    to_come = Days(date(2026, 4, 2), date(2026, 4, 3))
    wholly = ask(Query(["runs"], ["day"], period=to_come))
    assert (wholly.rows, wholly.notice) == ((), "2026-04-02 to 2026-04-03 is still to come.")
    assert ask(Query(["runs", "cost"], period=to_come)).rows == ((0, None),)
