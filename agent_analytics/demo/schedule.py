"""When each run of the demo starts: the same for the same seed, whenever it is asked.

Every local day of an organization is drawn by itself, so the history that is seeded, the gap that is filled
after a pause and the live trickle are all views of one schedule, each at its instant. Instants are in
milliseconds since 1970.
"""

import re
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from zlib import crc32

import numpy as np

from agent_analytics.demo.cast import cast
from agent_analytics.demo.lives import Drawing, Life
from agent_analytics.demo.people import Organization
from agent_analytics.demo.shapes import SHAPES
from agent_analytics.demo.story import Story
from agent_analytics.period import time_zone

PREFIX = "demo-"
PULSE = 8_000
WATCHES = np.arange(0, 24, 4)
Numbers = np.ndarray


class Schedule:
    """One organization's runs; the story is told up to the local day `last`.

    `claim` is the one that the sign-in reads a person's `user` from.
    """

    def __init__(self, organization: Organization, last: date, seed: int, claim: str = "sub") -> None:
        self.organization = organization
        self.story = Story(SHAPES[organization.slug], last)
        self._zone = time_zone(organization.timezone)
        self._seed = (seed, crc32(organization.slug.encode()))
        self._cast = cast(organization, np.random.default_rng(self._seed), claim)
        self._drawing = Drawing(organization.slug, self.story, self._cast)

    def day(self, day: date) -> list[Life]:
        """The runs that start on the local `day`, in order of their start."""
        rng = np.random.default_rng((*self._seed, day.toordinal()))
        start, who = self._starts(rng, day)
        prefix = f"{PREFIX}{self.organization.slug}-{day:%Y%m%d}"
        return self._drawing.lives(rng, day, start, who, [f"{prefix}-{number:05}" for number in range(len(start))])

    def pulse(self, slot: int) -> Life:
        """One more run, that starts within that slot of `PULSE` milliseconds; no day holds it."""
        rng = np.random.default_rng((*self._seed, slot))
        start = slot * PULSE + rng.integers(0, PULSE, 1)
        who = rng.choice(len(self._cast.members), 1, p=self._cast.shares)
        name = f"{PREFIX}{self.organization.slug}-pulse-{slot}"
        return self._drawing.lives(rng, self.local_day(slot * PULSE), start, who, [name])[0]

    def find(self, run_id: str) -> Life | None:
        """The run of that id; None if this schedule has none."""
        match = re.fullmatch(rf"{PREFIX}{self.organization.slug}-(?:pulse-(\d{{1,12}})|(\d{{8}})-(\d{{5}}))", run_id)
        if match is None:
            return None
        if match[1]:
            return self.pulse(int(match[1]))
        with suppress(ValueError):
            return dict(enumerate(self.day(date.fromisoformat(match[2])))).get(int(match[3]))
        return None

    def local_day(self, instant: int) -> date:
        return datetime.fromtimestamp(instant / 1000, self._zone).date()

    def _starts(self, rng: np.random.Generator, day: date) -> tuple[Numbers, Numbers]:
        """Instants in order, and the place in the cast of who starts a run at each."""
        automatic = self._cast.automatic
        weights = self._cast.shares * np.where(automatic, 1.0, self.story.rhythm(day))
        busy = self.story.shape.runs * self.story.growth(day) * self.story.event(day).runs * rng.lognormal(0, 0.06)
        who = rng.choice(len(weights), rng.poisson(busy * weights.sum()), p=weights / weights.sum())
        hours = np.where(automatic[who], rng.uniform(0, 24, len(who)), _office_hours(rng, len(who)))
        watch = WATCHES + rng.uniform(0, 0.01, len(WATCHES))
        hours, who = np.concatenate([hours, watch]), np.concatenate([who, np.full(len(watch), len(weights) - 1)])
        order = np.argsort(hours, kind="stable")
        return self._instants(day, hours[order]), who[order]

    def _instants(self, day: date, hours: Numbers) -> Numbers:
        """Hours of a day of 24 onto the local day, which has 23 or 25 when the clocks change."""
        midnights = (datetime.combine(each, time(), self._zone) for each in (day, day + timedelta(days=1)))
        first, after = (midnight.timestamp() for midnight in midnights)
        return ((first + hours / 24 * (after - first)) * 1000).astype(np.int64)


def _office_hours(rng: np.random.Generator, count: int) -> Numbers:
    """Hours of a day of 24: most before and after lunch, a few in the evening."""
    peaks = np.array([(10.3, 1.2), (14.8, 1.6), (20.0, 1.8)])
    centre, spread = peaks[rng.choice(3, count, p=(0.45, 0.5, 0.05))].T
    return np.clip(rng.normal(centre, spread), 0, 23.99)
