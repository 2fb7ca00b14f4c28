"""The demo's history: the runs of three invented organizations, made through the real ingest."""

from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple

from agent_analytics.demo.lives import as_of
from agent_analytics.demo.people import ORGANIZATIONS, Organization
from agent_analytics.demo.schedule import PREFIX, Schedule
from agent_analytics.demo.story import DAYS
from agent_analytics.ingest import from_dicts
from agent_analytics.ingest.runs import Summary, ingest_runs
from agent_analytics.organizations import set_organization
from agent_analytics.period import local_day
from agent_analytics.settings import Settings
from agent_analytics.store import Record

SEED = 7
Run = dict[str, Any]
Progress = Callable[[int], None]

_SPAN = "select min(started_at), max(started_at) from analytics.runs where starts_with(run_id, %s)"
_RUNNING = """
select to_jsonb(runs) - array['cost_source', 'input_cost', 'output_cost', 'cost'] from analytics.runs
where status = 'running' and starts_with(run_id, %s)
"""


class Known(NamedTuple):
    """What the record holds of an organization's demo: its first and newest start, and the runs that go on."""

    first: datetime | None
    newest: datetime | None
    running: list[Run]


def runs(now: datetime, seed: int = SEED, claim: str = "sub") -> Iterator[Run]:
    """About 200,000 runs of the ingest contract over the 120 local days up to `now`, as known at `now`."""
    for organization in ORGANIZATIONS:
        schedule = Schedule(organization, local_day(now, organization.timezone), seed, claim)
        yield from _started(schedule, schedule.story.days(), milliseconds(now))


def seed(settings: Settings, record: Record, now: datetime, progress: Progress | None = None) -> Summary:
    """Fill the record up to `now`: all 120 days, or what happened since the demo last ran.

    `progress` is told how many more runs have been read. Raises RecordUnavailable.
    """
    plan = _plan(settings, record, now)
    for schedule, known in plan:
        if known.first is None:
            _introduce(record, schedule.organization)
    return send(record, chain.from_iterable(_news(*planned, now) for planned in plan), progress)


def schedules(settings: Settings, record: Record, now: datetime) -> list[Schedule]:
    """Each organization's schedule: its story is told up to the day on which the demo first ran."""
    return [schedule for schedule, _ in _plan(settings, record, now)]


def send(record: Record, told: Iterable[Run], progress: Progress | None = None) -> Summary:
    """Through the same door as everybody's runs."""
    return ingest_runs(record, [from_dicts("demo", told)], progress=progress)


def milliseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def _plan(settings: Settings, record: Record, now: datetime) -> list[tuple[Schedule, Known]]:
    known = ((organization, _known(record, organization)) for organization in ORGANIZATIONS)
    return [(_schedule(organization, each, settings, now), each) for organization, each in known]


def _schedule(organization: Organization, known: Known, settings: Settings, now: datetime) -> Schedule:
    last = local_day(now, organization.timezone)
    if known.first is not None:
        last = local_day(known.first, organization.timezone) + timedelta(days=DAYS - 1)
    return Schedule(organization, last, SEED, settings.claim_user)


def _introduce(record: Record, organization: Organization) -> None:
    """Its time zone must be known before its runs are; what an operator sets later stays."""
    set_organization(record, organization.slug, organization.name, organization.timezone)


def _known(record: Record, organization: Organization) -> Known:
    with record.organization(organization.slug) as connection:
        first, newest = connection.execute(_SPAN, [PREFIX]).fetchall()[0]
        running = [run for (run,) in connection.execute(_RUNNING, [PREFIX])]
    return Known(first, newest, running)


def _news(schedule: Schedule, known: Known, now: datetime) -> Iterator[Run]:
    """What the record does not know yet; some runs that it knows are told again, which changes nothing."""
    instant = milliseconds(now)
    yield from (_resumed(schedule, run, instant) for run in known.running)
    yield from _started(schedule, _missing(schedule, known, now), instant)


def _missing(schedule: Schedule, known: Known, now: datetime) -> list[date]:
    """The days to tell, from the one before the newest start on: a step may have been cut short at midnight."""
    if known.newest is None:
        return list(schedule.story.days())
    today = schedule.local_day(milliseconds(now))
    newest = schedule.local_day(milliseconds(known.newest))
    first = max(newest - timedelta(days=1), today - timedelta(days=DAYS - 1))
    return [first + timedelta(days=later) for later in range((today - first).days + 1)]


def _started(schedule: Schedule, days: Iterable[date], now: int) -> Iterator[Run]:
    lives = (life for day in days for life in schedule.day(day))
    return (as_of(life, now) for life in lives if life.start <= now)


def _resumed(schedule: Schedule, run: Run, now: int) -> Run:
    """How a run that an earlier demo left running goes on, or has ended meanwhile."""
    life = schedule.find(run["run_id"])
    started, heard = (milliseconds(datetime.fromisoformat(run[name])) for name in ("started_at", "updated_at"))
    known = life is not None and life.start == started and heard < life.end
    return as_of(life, now) if life and known else _given_up(run)


def _given_up(run: Run) -> Run:
    """Nobody knows how it would have ended: it is cancelled when it was last heard of."""
    return run | {"status": "cancelled", "ended_at": run["updated_at"]}
