"""While the demo runs its runs go on; after a pause the gap is filled, and what was left running ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from agent_analytics.demo import data, trickle
from agent_analytics.demo.people import ORGANIZATIONS
from agent_analytics.demo.schedule import Schedule
from agent_analytics.demo.trickle import Trickle
from agent_analytics.errors import RecordUnavailable
from agent_analytics.ingest import from_dicts
from agent_analytics.ingest.runs import ingest_runs
from agent_analytics.organizations import set_organization
from agent_analytics.period import local_day
from agent_analytics.settings import Settings
from agent_analytics.store import Record

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
NIGHT = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)
Run = dict[str, Any]


def schedules(now: datetime) -> list[Schedule]:
    return [Schedule(each, local_day(now, each.timezone), data.SEED) for each in ORGANIZATIONS]


def held(record: Record, slug: str = "acme") -> dict[str, tuple[Any, ...]]:
    with record.organization(slug) as connection:
        rows = connection.execute("select run_id, status, started_at, ended_at, updated_at from analytics.runs")
        return {run_id: tuple(rest) for run_id, *rest in rows}


def seconds(first: datetime, count: int, step: int) -> Iterator[int]:
    return (data.milliseconds(first + timedelta(seconds=step * number)) for number in range(1, count + 1))


def an_old_run(slug: str, started: datetime, **fields: Any) -> Run:
    run = {"organization": slug, "run_id": f"demo-{slug}-{started:%F-%T}", "agent_type": "code-review"}
    return run | {"status": "succeeded", "started_at": started.isoformat()} | fields


def demo_ran(record: Record, until: datetime, *slugs: str) -> None:
    """Its first and its last run are enough to say so: for all organizations where none are named."""
    starts = (until - timedelta(days=119), until)
    organizations = [each for each in ORGANIZATIONS if not slugs or each.slug in slugs]
    for organization in organizations:
        set_organization(record, organization.slug, timezone=organization.timezone)
    told = [an_old_run(organization.slug, start) for organization in organizations for start in starts]
    assert ingest_runs(record, [from_dicts("old", told)]).accepted == len(told)


def test_what_starts_also_ends(record: Record) -> None:
    trickle = Trickle(schedules(NOW), data.milliseconds(NOW))
    for now in seconds(NOW, 60, 180):
        assert trickle.step(record, now) > 0
    end = NOW + timedelta(hours=3)
    for slug in ("acme", "globex", "initech"):
        runs = held(record, slug)
        assert len(runs) > 30
        assert all(ended <= end for _, _, ended, _ in runs.values() if ended)
        running = [started for status, started, _, _ in runs.values() if status == "running"]
        assert 0 < len(running) < len(runs) / 3

    # With the clock six hours on no run of these hours can still go on.
    trickle.step(record, data.milliseconds(end + timedelta(hours=6)))
    late = [status for status, started, _, _ in held(record).values() if started <= end]
    assert "running" not in late


def test_the_record_then_holds_what_the_schedule_says(record: Record) -> None:
    trickle = Trickle(schedules(NOW), data.milliseconds(NOW))
    for now in seconds(NOW, 12, 300):
        trickle.step(record, now)
    end = NOW + timedelta(hours=1)
    planned = {
        run["run_id"]: run["status"]
        for run in data.runs(end)
        if run["organization"] == "acme" and run["started_at"] > NOW.isoformat()
    }
    runs = {name: status for name, (status, started, *_) in held(record).items() if started > NOW}
    assert {name: status for name, status in runs.items() if "pulse" not in name} == planned
    assert len(runs) > len(planned)


def test_it_is_never_silent_for_ten_seconds_not_even_on_a_night_and_after_hours() -> None:
    for since in (NIGHT, NIGHT - timedelta(hours=5)):
        trickle = Trickle(schedules(NOW), data.milliseconds(since))
        told = trickle.events(data.milliseconds(since + timedelta(seconds=10)))
        assert [{run["organization"] for run in events} for events in told] == [{"acme"}, {"globex"}, {"initech"}]


def test_the_same_clock_tells_the_same() -> None:
    one, other = (Trickle(schedules(NOW), data.milliseconds(NOW)) for _ in range(2))
    now = data.milliseconds(NOW + timedelta(minutes=3))
    assert list(one.events(now)) == list(other.events(now))
    assert list(one.events(data.milliseconds(NOW - timedelta(minutes=3)))) == []


def test_what_could_not_be_told_is_told_when_the_record_is_back(record: Record, settings: Settings) -> None:
    with Record(str(settings.database_url), settings.home) as gone, gone.organization("acme"):
        pass
    trickle = Trickle(schedules(NOW), data.milliseconds(NOW))
    early, late = (NOW + timedelta(minutes=minutes) for minutes in (4, 8))
    with pytest.raises(RecordUnavailable):
        trickle.step(gone, data.milliseconds(early))
    trickle.step(record, data.milliseconds(late))
    starts = [started for _, started, *_ in held(record).values()]
    assert any(NOW < started < early for started in starts)
    assert any(early < started < late for started in starts)


def test_a_pause_is_filled_and_what_was_left_running_goes_on(record: Record, settings: Settings) -> None:
    demo_ran(record, NOW)
    data.seed(settings, record, NOW)
    left = {name for name, (status, *_) in held(record).items() if status == "running"}
    assert left
    later = NOW + timedelta(days=2)
    assert data.seed(settings, record, later).rejected == 0
    runs = held(record)
    assert {runs[name][0] for name in left} <= {"succeeded", "failed", "cancelled"}
    days = {started.date() for _, started, _, _ in runs.values()}
    assert days >= {NOW.date() + timedelta(days=day) for day in range(3)}
    again = data.seed(settings, record, later)
    assert (again.accepted, again.updated, again.rejected) == (0, 0, 0)


def test_a_long_pause_is_filled_for_120_days_only(record: Record, settings: Settings) -> None:
    demo_ran(record, NOW, "acme", "globex")
    demo_ran(record, NOW - timedelta(days=300), "initech")
    data.seed(settings, record, NOW)
    with record.organization("initech") as connection:
        days = connection.execute("select count(distinct day), min(day) from analytics.local_runs").fetchall()
    assert days == [(122, (NOW - timedelta(days=419)).date())]


def test_a_running_run_that_nobody_knows_is_cancelled_when_last_heard_of(record: Record, settings: Settings) -> None:
    demo_ran(record, NOW)
    heard = NOW - timedelta(minutes=20)
    lost = an_old_run("acme", NOW - timedelta(hours=1), status="running", updated_at=heard.isoformat())
    ingest_runs(record, [from_dicts("old", [lost])])
    data.seed(settings, record, NOW)
    status, _, ended, _ = held(record)[lost["run_id"]]
    assert (status, ended) == ("cancelled", heard)


def test_an_operators_time_zone_stays(record: Record, settings: Settings) -> None:
    demo_ran(record, NOW)
    set_organization(record, "acme", timezone="Asia/Tokyo")
    data.seed(settings, record, NOW)
    assert record.zone("acme") == "Asia/Tokyo"


def test_it_publishes_at_its_start_and_each_hour_whatever_happens_to_the_record(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def publish(*told: Any) -> None:
        asked.append(told[0])
        raise RecordUnavailable("PostgreSQL does not answer.")

    def sleep(seconds: float) -> None:
        asked.append(seconds)
        if len(asked) == 4:
            raise SystemExit

    monkeypatch.setattr(trickle, "publish", publish)
    monkeypatch.setattr(trickle.time, "sleep", sleep)
    with pytest.raises(SystemExit):
        trickle._publish(record)
    assert asked == [record, 3600, record, 3600]


@pytest.fixture
def process(record: Record, settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    demo_ran(record, datetime.now(UTC))
    environment = {
        "PATH": os.defpath,
        "AGENT_ANALYTICS_HOME": str(settings.home),
        "AGENT_ANALYTICS_DATABASE_URL": str(settings.database_url),
    }
    program = "from agent_analytics import settings\nfrom agent_analytics.demo import trickle\n"
    command = [sys.executable, "-c", program + "trickle.main(settings.read())"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as started:
        yield started
        started.kill()


def test_the_process_survives_a_lost_connection_and_ends_at_sigterm(
    record: Record, settings: Settings, process: subprocess.Popen[bytes]
) -> None:
    wait_for_news(record, {})
    with psycopg.connect(str(settings.database_url), autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
    with Record(str(settings.database_url), settings.home) as fresh:
        wait_for_news(fresh, wait_for_news(fresh, held(fresh)))
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert b"Traceback" not in (process.stderr.read() if process.stderr else b"")


def wait_for_news(record: Record, before: dict[str, Any]) -> dict[str, Any]:
    """What the record holds once that is something else."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        now = held(record)
        if now != before and len(now) > 1:
            return now
        time.sleep(0.5)
    raise AssertionError("Nothing happened for a minute.")
