"""How the demo's runs go and end, drawn in columns: what the platform would tell of each, in the contract's words."""

from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple

import numpy as np

from agent_analytics.demo.cast import Cast
from agent_analytics.demo.shapes import AGENT_TYPES, ERRORS, MODELS, AgentType, Model, Unusual
from agent_analytics.demo.story import Story

LONGEST_MINUTES = 360
OUTCOMES = ("succeeded", "failed", "cancelled")
TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
BRANCHES = ("fix", "feature", "chore")
Numbers = np.ndarray
Generator = np.random.Generator


class Life(NamedTuple):
    """A run from its start to its end, in milliseconds since 1970; `record` tells of it once it has ended."""

    start: int
    end: int
    record: dict[str, Any]


class Draw(NamedTuple):
    """What was drawn for some runs of one day, an array each: who, what kind, how it ended and how much of it ran."""

    day: date
    start: Numbers
    who: Numbers
    kind: Numbers
    outcome: Numbers
    part: Numbers


class Drawing:
    """Draws the runs of one organization's cast."""

    def __init__(self, slug: str, story: Story, cast: Cast) -> None:
        self._slug = slug
        self._story = story
        self._cast = cast
        self._types = [AGENT_TYPES[name] for name in cast.agent_types]

    def lives(self, rng: Generator, day: date, start: Numbers, who: Numbers, ids: list[str]) -> list[Life]:
        """One life for each start (instants), its member (a place in the cast) and id."""
        kind = _pick(rng, self._mix(day)[who])
        outcome = self._outcomes(rng, kind, self._story.event(day))
        part = np.where(outcome == 0, 1.0, rng.uniform(0.1, 1.0, len(kind)))
        draw = Draw(day, start, who, kind, outcome, part)
        end = start + self._durations(rng, draw)
        columns = {"run_id": ids} | self._attribution(rng, draw) | self._usage(rng, draw) | self._failures(rng, draw)
        columns |= {"started_at": texts(start), "ended_at": texts(end), "updated_at": texts(end)}
        records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        finished = map(self._finish, records)
        return [Life(*life) for life in zip(start.tolist(), end.tolist(), finished, strict=True)]

    def _of(self, trait: str, kind: Numbers) -> Numbers:
        return np.array([getattr(agent_type, trait) for agent_type in self._types])[kind]

    def _mix(self, day: date) -> Numbers:
        """What everybody runs on that day."""
        absent = self._story.not_yet(day)
        return self._cast.mix * np.array([name != absent for name in self._cast.agent_types])

    def _models(self, day: date) -> Numbers:
        """The share of each model in each agent type on that day."""
        names = [model.name for model in MODELS]
        shares = np.array([[agent_type.models.get(name, 0.0) for name in names] for agent_type in self._types])
        switched = self._story.new_model(day)
        if switched is not None:
            shares[self._cast.agent_types.index(switched[0])] = [name == switched[1] for name in names]
        return shares

    def _outcomes(self, rng: Generator, kind: Numbers, event: Unusual) -> Numbers:
        """Places in OUTCOMES."""
        failed = np.minimum(self._of("failure", kind) * event.failures, 0.9)
        draw = rng.random(len(kind))
        return np.where(draw < failed, 1, np.where(draw < failed + self._of("cancel", kind), 2, 0))

    def _durations(self, rng: Generator, draw: Draw) -> Numbers:
        """Whole milliseconds, at least a second."""
        minutes = rng.lognormal(np.log(self._of("minutes", draw.kind)), self._of("spread", draw.kind)) * draw.part
        return (np.clip(minutes, 1 / 60, LONGEST_MINUTES) * 60_000).astype(np.int64)

    def _attribution(self, rng: Generator, draw: Draw) -> dict[str, list[Any]]:
        members = [self._cast.members[place] for place in draw.who]
        models = [MODELS[place] for place in _pick(rng, self._models(draw.day)[draw.kind])]
        elsewhere = (rng.random(len(members)) < 0.25).tolist()
        numbers = rng.integers(100, 9_000, len(members)).tolist()
        names = [self._cast.agent_types[place] for place in draw.kind]
        users = [member.user for member in members]
        return {
            "organization": [self._slug] * len(members),
            "user": users,
            "team": [member.teams[-1 if other else 0] for member, other in zip(members, elsewhere, strict=True)],
            "agent_type": names,
            "status": [OUTCOMES[place] for place in draw.outcome],
            "model": [model.name for model in models],
            "model_version": [model.version for model in models],
            "attributes": list(map(self._attributes, names, users, numbers)),
        }

    def _attributes(self, agent_type: str, user: str | None, number: int) -> dict[str, str]:
        trigger = {"trigger": "schedule" if user is None else AGENT_TYPES[agent_type].trigger}
        if not AGENT_TYPES[agent_type].code:
            return trigger
        repositories = self._story.shape.repositories
        branch = "main" if user is None else f"{BRANCHES[number % len(BRANCHES)]}/{number}"
        return trigger | {"repository": repositories[number % len(repositories)], "branch": branch}

    def _usage(self, rng: Generator, draw: Draw) -> dict[str, list[Any]]:
        """Tokens; a part that an agent type never has is unknown, not 0."""
        much = draw.part * self._story.event(draw.day).tokens
        given = rng.lognormal(np.log(self._of("input", draw.kind)), 0.6) * much
        made = rng.lognormal(np.log(self._of("output", draw.kind)), 0.6) * much
        read, written, reasoning = (self._of(name, draw.kind) for name in ("read", "written", "reasoning"))
        vary = rng.uniform(0.7, 1.1, len(given))
        whole = (given, made, given * read * vary, given * written * vary, made * reasoning * vary)
        always = np.full(len(given), True)
        known = (always, always, read > 0, written > 0, reasoning > 0)
        return dict(zip(TOKENS, map(_counts, whole, known), strict=True))

    def _failures(self, rng: Generator, draw: Draw) -> dict[str, list[Any]]:
        failed = draw.outcome == 1
        retries = rng.poisson(np.where(failed, 1.2, 0.05)).tolist()
        chances = rng.random((2, len(failed)))
        errors: list[tuple[str | None, str | None]] = [(None, None)] * len(failed)
        for place in np.flatnonzero(failed):
            errors[place] = _error(self._types[draw.kind[place]], self._story.event(draw.day), *chances[:, place])
        categories, messages = ([error[part] for error in errors] for part in (0, 1))
        return {"retries": retries, "error_category": categories, "error_message": messages}

    def _finish(self, record: dict[str, Any]) -> dict[str, Any]:
        """A lost worker tells neither its end nor its tokens; some sources tell what they billed."""
        if record["error_category"] == "worker_lost":
            return record | dict.fromkeys((*TOKENS, "ended_at"))
        kind = self._story.shape.reports.get(record["agent_type"])
        return record | _billed(record, kind) if kind else record


def as_of(life: Life, now: int) -> dict[str, Any]:
    """What is known at the instant `now` of a run that has started."""
    return life.record if life.end <= now else underway(life, now)


def underway(life: Life, now: int) -> dict[str, Any]:
    """What the platform tells at `now` of a run that goes on: its tokens so far."""
    share = (now - life.start) / (life.end - life.start)
    tokens = {name: None if life.record[name] is None else int(life.record[name] * share) for name in TOKENS}
    untold = ("ended_at", "error_category", "error_message", "input_cost", "output_cost", "cost")
    told = {"status": "running", "retries": 0, "updated_at": texts(np.array([now]))[0]}
    return life.record | tokens | dict.fromkeys(untold) | told


def texts(instants: Numbers) -> list[str]:
    """RFC 3339, in UTC."""
    return np.datetime_as_string(instants.astype("datetime64[ms]"), unit="ms", timezone="UTC").tolist()


def _pick(rng: Generator, weights: Numbers) -> Numbers:
    """For each row of weights one of its places."""
    steps = weights.cumsum(axis=1)
    return (rng.random((len(weights), 1)) * steps[:, -1:] >= steps).sum(axis=1)


def _counts(values: Numbers, known: Numbers) -> list[int | None]:
    return [
        value if is_known else None for value, is_known in zip(values.astype(int).tolist(), known.tolist(), strict=True)
    ]


def _error(agent_type: AgentType, event: Unusual, draw: float, chance: float) -> tuple[str, str]:
    """A category, the agent type's first ones more often, and one of its messages."""
    category = agent_type.errors[int(len(agent_type.errors) * chance**2)]
    if event.error is not None and draw < 0.8:
        category = event.error
    elif draw > 0.96:
        category = "worker_lost"
    messages = ERRORS[category]
    return category, messages[int(chance * 1000) % len(messages)]


def _billed(record: Mapping[str, Any], kind: str) -> dict[str, str]:
    """The cost that the organization's gateway bills: its `parts` with their sum, or the `total` alone."""
    model = _MODELS[record["model"]]
    parts = (record["input_tokens"] * model.input_rate, record["output_tokens"] * model.output_rate)
    total = {"cost": _dollars(sum(parts))}
    if kind == "total":
        return total
    return total | {"input_cost": _dollars(parts[0]), "output_cost": _dollars(parts[1])}


def _dollars(nano: int) -> str:
    """A decimal of nano-dollars: money is never a float."""
    return f"{nano // 10**9}.{nano % 10**9:09}"


_MODELS: dict[str, Model] = {model.name: model for model in MODELS}
