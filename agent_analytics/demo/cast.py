"""Who starts the demo's runs: an organization's invented people, its personas among them, and its automation."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from agent_analytics.demo.people import PERSONAS, Organization, Persona
from agent_analytics.demo.shapes import AGENT_TYPES, FIRST_NAMES, LAST_NAMES, SHAPES, WATCH, Shape

SHARE_OF_AUTOMATION = 0.12
Numbers = np.ndarray


@dataclass(frozen=True)
class Member:
    """`user` is None for automation, which works around the clock; of two `teams` the first is the usual one."""

    user: str | None
    teams: tuple[str | None, ...]


@dataclass(frozen=True)
class Cast:
    """The members, each with a share of the runs and a row of `mix`: shares of the agent types. Watch is the last."""

    members: tuple[Member, ...]
    shares: Numbers
    mix: Numbers
    agent_types: tuple[str, ...]

    @property
    def automatic(self) -> Numbers:
        return np.array([member.user is None for member in self.members])


def cast(organization: Organization, rng: np.random.Generator, claim: str = "sub") -> Cast:
    """The organization's members; `claim` is the one that a persona's `user` is read from."""
    shape = SHAPES[organization.slug]
    people = _people(organization, shape, rng, claim)
    machines = [Member(None, (organization.teams[0],)), Member(None, (organization.teams[1],)), Member(None, (None,))]
    agent_types = (*shape.mix, WATCH)
    return Cast(
        (*people, *machines, Member(None, (organization.teams[0],))),
        _shares(len(people), len(machines)),
        _mix(shape, agent_types, len(people), len(machines), rng),
        agent_types,
    )


def _people(organization: Organization, shape: Shape, rng: np.random.Generator, claim: str) -> list[Member]:
    """The busiest first; personas have a place well before the middle, so that their own pages are worth a look."""
    personas = [persona for persona in PERSONAS if persona.organization == organization.slug]
    names = _names(shape.people - len(personas), {persona.sub for persona in personas}, rng)
    people = [Member(_user(name, organization, claim), _teams(organization, rng)) for name in names]
    for place, persona in enumerate(reversed(personas)):
        people.insert(2 + 4 * place, Member(_persona_user(persona, claim), persona.teams or (None,)))
    return people


def _names(count: int, taken: Iterable[str], rng: np.random.Generator) -> list[str]:
    every = [f"{first}.{last}" for first in FIRST_NAMES.split() for last in LAST_NAMES.split()]
    free = [name for name in every if name not in taken]
    return [free[place] for place in rng.permutation(len(free))[:count]]


def _user(name: str, organization: Organization, claim: str) -> str:
    return f"{name}@{organization.slug}.example.com" if claim == "email" else name


def _persona_user(persona: Persona, claim: str) -> str:
    return persona.email if claim == "email" else persona.sub


def _teams(organization: Organization, rng: np.random.Generator) -> tuple[str | None, ...]:
    """One team, the larger ones more often; some people have two, a few none."""
    weights = 1 / np.arange(1, len(organization.teams) + 1) ** 0.7
    first, second = rng.choice(len(weights), 2, replace=False, p=weights / weights.sum())
    draw = rng.random()
    if draw < 0.06:
        return (None,)
    both = (organization.teams[first], organization.teams[second])
    return both if draw > 0.84 else both[:1]


def _shares(people: int, machines: int) -> Numbers:
    """Zipf for people; the watch takes no share, it has hours of its own."""
    zipf = 1 / np.arange(3, people + 3) ** 0.9
    return np.concatenate(
        [zipf / zipf.sum() * (1 - SHARE_OF_AUTOMATION), np.full(machines, SHARE_OF_AUTOMATION / machines), [0.0]]
    )


def _mix(shape: Shape, agent_types: tuple[str, ...], people: int, machines: int, rng: np.random.Generator) -> Numbers:
    """Everybody has favourites; automation keeps to the agent types that can be scheduled."""
    common = np.array([shape.mix.get(name, 0.0) for name in agent_types])
    scheduled = np.array([AGENT_TYPES[name].scheduled for name in agent_types])
    rows = np.concatenate(
        [
            common * rng.lognormal(0, 0.7, (people, len(common))),
            np.tile(common * scheduled, (machines, 1)),
            [np.array([name == WATCH for name in agent_types], float)],
        ]
    )
    return rows / rows.sum(axis=1, keepdims=True)
