"""The newest version of a run wins, in whatever order, however often and by however many it is sent."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from itertools import count
from threading import Event
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_analytics.ingest import Summary, from_dicts, ingest_runs, runs
from agent_analytics.ingest.upsert import SQL
from agent_analytics.organizations import set_organization
from agent_analytics.settings import Settings
from agent_analytics.store import Record
from given import a_run

Rows = Callable[..., list[dict[str, Any]]]
Version = dict[str, Any]
MORNING = datetime(2026, 3, 28, 9, tzinfo=UTC)
STATE = "select *, xmin::text, ctid::text from analytics.runs order by organization, run_id"
organizations = (f"organization-{number}" for number in count())


def take(record: Record, *records: Version) -> Summary:
    summary = ingest_runs(record, [from_dicts("given", records)])
    assert summary.rejected == 0
    return summary


def changes(rows: Rows) -> list[tuple[str, date]]:
    """What was reported to those who follow the record, since the last time."""
    found = [
        (row["organization"], row["day"])
        for row in rows("select * from analytics.changes order by organization, day, id")
    ]
    return found


@pytest.fixture
def small_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a few records are merged in several loads."""
    monkeypatch.setattr(runs, "LOAD", 600)


def test_each_record_is_counted_once(record: Record) -> None:
    old, new = a_run("a", updated_at="2026-03-28T10:00:00Z"), a_run("a", updated_at="2026-03-28T11:00:00Z", retries=1)
    other = a_run("b")
    assert take(record, old, other) == Summary(2, 0, 0, 0)
    assert take(record, old, new, other) == Summary(0, 1, 2, 0)
    assert take(record, old, new, a_run("c"), a_run("c")) == Summary(1, 0, 3, 0)
    assert take(record) == Summary(0, 0, 0, 0)


def test_counts_do_not_depend_on_how_the_records_fall_into_loads(record: Record, small_loads: None) -> None:
    versions = [a_run("a", retries=n, updated_at=f"2026-03-28T{10 + n}:00:00Z") for n in range(9)]
    assert take(record, *versions[:1]) == Summary(1, 0, 0, 0)
    assert take(record, *versions, *versions) == Summary(0, 1, 17, 0)
    assert take(record, *versions, *[{**version, "run_id": "b"} for version in versions]) == Summary(1, 0, 17, 0)


@pytest.mark.parametrize("organization", ["acme", "globex"])
def test_sending_again_writes_nothing(record: Record, rows: Rows, small_loads: None, organization: str) -> None:
    records = [a_run(f"{n}", organization=("acme", organization)[n % 2], cost=None) for n in range(20)]
    take(record, *records)
    before = rows(STATE), changes(rows)
    assert take(record, *reversed(records), *records) == Summary(0, 0, 40, 0)
    assert (rows(STATE), changes(rows)) == before


def test_an_older_version_changes_nothing(record: Record, rows: Rows) -> None:
    take(record, a_run("a", updated_at="2026-03-28T11:00:00Z"))
    before = rows(STATE)
    assert take(record, a_run("a", status="failed", updated_at="2026-03-28T10:59:59.999999Z")) == Summary(0, 0, 1, 0)
    assert rows(STATE) == before


@pytest.mark.parametrize("order", [1, -1])
def test_on_a_tie_an_ended_run_beats_a_running_one_and_then_the_greater_content(
    record: Record, rows: Rows, order: int
) -> None:
    same = {"ended_at": None, "updated_at": "2026-03-28T09:00:00Z"}
    versions = [
        a_run("a", status="running", team="Z", **same),
        a_run("a", status="succeeded", team="A", **same),
        a_run("a", status="succeeded", team="B", **same),
    ]
    for version in versions[::order]:
        take(record, version)
    assert [(run["status"], run["team"]) for run in rows()] == [("succeeded", "B")]


def test_a_price_table_that_changes_does_not_price_an_old_record_anew(
    record: Record, rows: Rows, settings: Settings
) -> None:
    sent = a_run("a", model="gpt-4o", input_cost=None, output_cost=None)
    take(record, sent)
    with psycopg.connect(str(settings.database_url), autocommit=True) as admin:
        for cheaper in ("0.5", "2"):
            admin.execute(f"update analytics.runs set input_cost = input_cost * {cheaper}, cost = cost * {cheaper}")
            before = rows(STATE)
            assert take(record, sent) == Summary(0, 0, 1, 0)
            assert rows(STATE) == before


def test_exactly_the_touched_days_are_reported(record: Record, rows: Rows) -> None:
    """In the organization's own days: 28 March 20:00 UTC is the 29th in Kathmandu."""
    set_organization(record, "acme", timezone="Asia/Kathmandu")
    day = {n: date(2026, 3, n) for n in range(20, 32)}
    seen = [("acme", None)]

    def reported() -> list[date]:
        found = [each for each in changes(rows) if each not in seen]
        seen.extend(found)
        return [each[1] for each in found]

    take(record, a_run("a", started_at="2026-03-28T20:00:00Z"), a_run("b", started_at="2026-03-20T12:00:00Z"))
    assert reported() == [day[20], day[29]]
    take(record, a_run("a", started_at="2026-03-28T20:00:00Z"), a_run("c", started_at="2026-03-21T12:00:00Z"))
    assert reported() == [day[21]]
    take(record, a_run("a", started_at="2026-03-25T20:00:00Z", updated_at="2026-04-01T00:00:00Z"))
    assert reported() == [day[26]]
    assert changes(rows).count(("acme", day[29])) == 2
    take(record, a_run("b", started_at="2026-03-20T12:00:00Z", ended_at=None, updated_at="2026-03-19T00:00:00Z"))
    assert reported() == []


def test_nothing_of_a_failed_ingest_is_reported_or_kept(record: Record, rows: Rows, small_loads: None) -> None:
    def failing() -> Iterator[Version]:
        yield from (a_run(f"{n}") for n in range(300))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest_runs(record, [from_dicts("failing", failing())])
    assert rows() == rows("select * from analytics.changes") == rows("select * from analytics.organizations") == []
    assert take(record, a_run("a")) == Summary(1, 0, 0, 0)


VERSIONS = st.fixed_dictionaries(
    {
        "run_id": st.sampled_from("abc"),
        "status": st.sampled_from(["running", "succeeded", "failed"]),
        "team": st.sampled_from(["A", "B", "C"]),
        "retries": st.integers(0, 3),
        "started_at": st.integers(0, 3).map(lambda days: MORNING + timedelta(days=days)),
        "updated_at": st.integers(0, 3).map(lambda hours: MORNING + timedelta(days=9, hours=hours)),
    }
)


def rank(version: Version) -> tuple[Any, ...]:
    """Later wins, then ended, then the greater canonical JSON, whose keys go by length, then by letter."""
    ended = version["status"] != "running"
    content = ("team", "status", "retries", "started_at")
    return version["updated_at"], ended, *(version[field] for field in content)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(versions=st.lists(VERSIONS, min_size=1, max_size=12), data=st.data())
def test_any_order_duplication_and_division_ends_in_the_same_state(
    record: Record, rows: Rows, versions: list[Version], data: st.DataObject
) -> None:
    organization = next(organizations)
    sent = data.draw(st.permutations(versions + data.draw(st.lists(st.sampled_from(versions), max_size=6))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=3)))
    accepted = 0
    for first, last in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        own = {**a_run("a"), "ended_at": None, "organization": organization}
        summary = take(record, *({**own, **version} for version in sent[first:last]))
        assert summary.accepted + summary.updated + summary.unchanged == last - first
        accepted += summary.accepted
    newest: dict[str, Version] = {}
    for version in sorted(versions, key=rank):
        newest[version["run_id"]] = version
    found = rows("select * from analytics.runs where organization = %s", organization)
    assert {run["run_id"]: {field: run[field] for field in versions[0]} for run in found} == newest
    assert accepted == len(newest)
    touched = {day for name, day in changes(rows) if name == organization}
    assert touched >= {version["started_at"].date() for version in newest.values()}
    assert touched <= {version["started_at"].date() for version in versions}


def at_once(*ingests: Callable[[], Summary]) -> list[Summary]:
    with ThreadPoolExecutor(len(ingests)) as pool:
        return [future.result(timeout=60) for future in [pool.submit(ingest) for ingest in ingests]]


def test_two_at_once_over_the_same_runs_are_right_and_do_not_wait_for_each_other_in_a_circle(
    record: Record, rows: Rows, small_loads: None
) -> None:
    """One goes up, one down, through two organizations; both bring versions that the other does not have."""

    def records(parity: int) -> list[Version]:
        numbers = range(120) if parity else range(119, -1, -1)
        return [
            a_run(f"{n // 2}", organization=("acme", "globex")[n % 2], retries=parity, team=f"team {n % 7}",
                  updated_at=f"2026-03-29T0{(n + parity) % 2}:00:00Z")
            for n in numbers
        ]  # fmt: skip

    one, other = at_once(*(lambda parity=parity: take(record, *records(parity)) for parity in (0, 1)))
    assert one.accepted + other.accepted == 120
    assert sum((one.updated, one.unchanged, other.updated, other.unchanged)) == 120
    assert {run["updated_at"] for run in rows()} == {datetime(2026, 3, 29, 1, tzinfo=UTC)}
    assert take(record, *records(0), *records(1)) == Summary(0, 0, 240, 0)


def test_a_small_ingest_of_one_organization_does_not_wait_for_a_large_one_of_another(
    record: Record, rows: Rows, small_loads: None
) -> None:
    reading, go_on = Event(), Event()

    def slowly() -> Iterator[Version]:
        yield from (a_run(f"{n}") for n in range(500))
        reading.set()
        assert go_on.wait(30)
        yield a_run("last")

    with ThreadPoolExecutor(1) as pool:
        large = pool.submit(lambda: ingest_runs(record, [from_dicts("slowly", slowly())]))
        assert reading.wait(30)
        assert take(record, a_run("small", organization="globex")) == Summary(1, 0, 0, 0)
        assert [run["organization"] for run in rows()] == ["globex"]
        go_on.set()
        assert large.result(30) == Summary(501, 0, 0, 0)


def test_looking_for_older_versions_never_reads_a_whole_organization(record: Record, settings: Settings) -> None:
    """The planner knows another organization only, and so takes this one for empty: see `find_newer`."""
    take(record, *(a_run(f"{n}") for n in range(2000)))
    with psycopg.connect(str(settings.database_url), autocommit=True) as admin:
        admin.execute("analyze analytics.runs")
    take(record, *(a_run(f"{n}", organization="globex") for n in range(2000)))
    with record.organization("globex") as connection:
        connection.execute(SQL["create_staging"])
        plan = connection.execute("explain " + SQL["find_newer"], {"organization": "globex"}).fetchall()
    used = [line for (line,) in plan if "analytics" in line or " on runs" in line]
    assert used
    assert all("runs_pkey" in line for line in used), plan
