"""The demo's live part: while it runs, runs start, get on and end as the schedule says."""

import logging
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from threading import Thread
from typing import NoReturn

from agent_analytics.demo import data
from agent_analytics.demo.data import Run
from agent_analytics.demo.lives import Life, as_of, underway
from agent_analytics.demo.schedule import PULSE, Schedule
from agent_analytics.errors import RecordUnavailable
from agent_analytics.privacy import publish
from agent_analytics.serving import postgres
from agent_analytics.settings import Settings
from agent_analytics.store import Record

PAUSE = 4.0
SECONDS_BETWEEN_PUBLICATIONS = 3600
# Somebody has just started the demo and looks at it: for an hour a few more runs start, at night too.
# Not for longer, or a demo that is left running would tell of a boom that began when it was started.
LIVELY = 3_600_000
TURNS = (0, 1, 0, 2, 0, 1)
_log = logging.getLogger(__name__)


class Trickle:
    """What happens from the instant `since` on, in steps. Instants are in milliseconds since 1970."""

    def __init__(self, schedules: Sequence[Schedule], since: int) -> None:
        self._schedules = schedules
        self._since = since
        self._calm = since + LIVELY
        self._days: dict[tuple[Schedule, date], list[Life]] = {}
        self._pulses: dict[int, Life] = {}

    def step(self, record: Record, now: int) -> int:
        """Tell the record what happened since the last step, and return how many runs that touched.

        Raises RecordUnavailable; the next step then tells it all.
        """
        told = 0
        for events in self.events(now):
            data.send(record, events)
            told += len(events)
        self._since = max(self._since, now)
        return told

    def events(self, now: int) -> Iterator[list[Run]]:
        """By organization, the runs that have started or ended since the last step, and one that gets on.

        One organization at a time, so that nobody's large file of another one holds it up.
        """
        for schedule in self._schedules if now > self._since else ():
            lives = self._around(schedule, now) + self._extra(schedule, now)
            events = [as_of(life, now) for life in lives if self._turned(life, now)]
            ongoing = [life for life in lives if life.start <= self._since and now < life.end]
            if ongoing:
                events.append(underway(ongoing[now // 1000 % len(ongoing)], now))
            if events:
                yield events

    def _turned(self, life: Life, now: int) -> bool:
        return any(self._since < instant <= now for instant in (life.start, life.end))

    def _around(self, schedule: Schedule, now: int) -> list[Life]:
        """Every run that can go on between the last step and `now`: none lasts longer than a day."""
        first, last = schedule.local_day(self._since) - timedelta(days=1), schedule.local_day(now)
        days = [first + timedelta(days=later) for later in range((last - first).days + 1)]
        return [life for day in days for life in self._day(schedule, day)]

    def _day(self, schedule: Schedule, day: date) -> list[Life]:
        """A day is drawn once, and kept until the day after the next."""
        key = (schedule, day)
        if key not in self._days:
            self._days = {
                (each, old): lives for (each, old), lives in self._days.items() if old >= day - timedelta(days=2)
            }
            self._days[key] = schedule.day(day)
        return self._days[key]

    def _extra(self, schedule: Schedule, now: int) -> list[Life]:
        """This organization's share of the runs that make the first hour lively."""
        for slot in range(self._since // PULSE + 1, min(now, self._calm) // PULSE + 1):
            if slot not in self._pulses:
                self._pulses[slot] = self._schedules[TURNS[slot % len(TURNS)]].pulse(slot)
        slug = schedule.organization.slug
        return [life for life in self._pulses.values() if life.record["organization"] == slug]


def main(settings: Settings) -> NoReturn:
    """Fill the gap since the demo last ran, then follow the clock; SIGTERM ends it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Record(postgres.record_url(settings), settings.home) as record:
        record.wait(60)
        started = _now()
        data.seed(settings, record, started)
        Thread(target=_publish, args=(record,), name="publisher", daemon=True).start()
        trickle = Trickle(data.schedules(settings, record, started), data.milliseconds(started))
        while True:
            time.sleep(PAUSE)
            _step(trickle, record)


def _step(trickle: Trickle, record: Record) -> None:
    try:
        trickle.step(record, data.milliseconds(_now()))
    except RecordUnavailable as error:
        _log.warning("%s Trying again.", error)


def _publish(record: Record) -> NoReturn:
    """What a schedule does elsewhere; the demo's start shall not wait for it."""
    while True:
        try:
            publish(record, _now())
        except RecordUnavailable as error:
            _log.warning("%s Nothing was published.", error)
        time.sleep(SECONDS_BETWEEN_PUBLICATIONS)


def _now() -> datetime:
    return datetime.now(UTC)
