"""Invented organizations whose runs come in over several days, some late, some corrected."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

FIRST = datetime(2026, 3, 2, tzinfo=UTC)
Run = dict[str, Any]


@dataclass(frozen=True)
class Invention:
    """`batches` of runs, each known by the end of one of the `steps`: so many days after FIRST."""

    people: int
    teams: int
    days: int
    agent_types: int
    seed: int

    @property
    def steps(self) -> list[int]:
        return sorted({max(1, self.days // 3), max(1, 2 * self.days // 3), self.days})

    def now(self, step: int) -> datetime:
        return FIRST + timedelta(days=step, hours=12)

    def batches(self) -> list[list[Run]]:
        random = Random(self.seed)
        runs = [run for person in range(self.people) for run in self._runs_of(random, person)]
        batches: list[list[Run]] = [[] for _ in self.steps]
        for run in runs:
            day = (datetime.fromisoformat(run["started_at"]) - FIRST).days
            first = next(place for place, step in enumerate(self.steps) if day < step)
            late = random.random() < 0.04
            batches[min(first + late, len(batches) - 1)].append(run)
        for place in range(1, len(batches)):
            known = [run for batch in batches[:place] for run in batch]
            batches[place] += [_corrected(random, run, place) for run in random.sample(known, len(known) // 30)]
        return batches

    def _runs_of(self, random: Random, person: int) -> list[Run]:
        """The first are the busiest; of the last teams there are few people; some have two teams, some none."""
        weights = [1 / (place + 1) ** 0.7 for place in range(self.teams)]
        two = [f"T{place}" for place in random.choices(range(self.teams), weights, k=2)]
        teams = [None] if random.random() < 0.06 else two[: 1 + (random.random() > 0.8)]
        share = 8 / (person + 3) ** 0.9
        return [
            self._run(random, person, random.choice(teams), day, kind, number)
            for day in range(self.days)
            for kind in range(self.agent_types)
            for number in range(4)
            if random.random() < min(0.9, share * (0.25 if day % 7 > 4 else 1) / (kind + 1))
        ]

    def _run(self, random: Random, person: int, team: str | None, day: int, kind: int, number: int) -> Run:
        started = FIRST + timedelta(days=day, seconds=random.randrange(86000))
        return {
            "organization": "acme",
            "run_id": f"{person}-{day}-{kind}-{number}",
            "user": f"u{person}" if random.random() > 0.03 else None,
            "team": team,
            "agent_type": f"A{kind}",
            "status": random.choice(["succeeded", "succeeded", "failed"]),
            "started_at": started.isoformat(),
            "ended_at": (started + timedelta(minutes=1)).isoformat(),
            "cost": f"{random.lognormvariate(0, 1) * (1 + kind):.9f}",
        }


def _corrected(random: Random, run: Run, version: int) -> Run:
    updated = datetime.fromisoformat(run["ended_at"]) + timedelta(days=version)
    return run | {"cost": f"{random.lognormvariate(0, 1):.9f}", "updated_at": updated.isoformat()}
