"""Every measure and dimension, declared once: what it is called, counted in, means, and how SQL counts it.

A measure is either *counted* by one SQL expression over the runs, or the *ratio* of two counted ones,
divided after all adding up: so a total's ratio is the ratio of totals, and both engines agree to the last digit.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from agent_analytics.counting import Column, Counted, Expression, Kind, count, distinct, quantile, total
from agent_analytics.scope import ROLES

Good = Literal["up", "down", "neither"]


@dataclass(frozen=True)
class Measure:
    """What can be asked for. `divisor` is None for a counted measure; a ratio with a divisor of 0 is unknown.

    `roles` may ask it; others are told `refusal`.
    """

    name: str
    label: str
    unit: str
    kind: Kind
    good: Good
    help: str
    dividend: Counted
    divisor: Counted | None = None
    scale: int = 1
    roles: tuple[str, ...] = ROLES
    refusal: str = ""

    @property
    def parts(self) -> tuple[Counted, ...]:
        return (self.dividend,) if self.divisor is None else (self.dividend, self.divisor)

    @property
    def adds(self) -> bool:
        """Whether the parts' figures add up to the whole's: not so for ratios, quantiles and distinct people."""
        return self.divisor is None and self.dividend.adds


@dataclass(frozen=True)
class Dimension:
    """What a measure can be split and filtered by. `needs`: the column that `expression` reads."""

    name: str
    label: str
    help: str
    kind: Literal["name", "time"]
    needs: str
    expression: Expression


def _counted(label: str, unit: str, good: Good, help: str, part: Counted) -> Measure:
    return Measure(part.name, label, unit, part.kind, good, help, part)


def _status(status: str, label: str, good: Good, help: str) -> Measure:
    return _counted(label, "runs", good, help, count(status, "status", lambda runs: runs.c.status == status))


def _tokens(name: str, label: str, help: str) -> Measure:
    return _counted(label, "tokens", "neither", help, total(name))


def _money(name: str, label: str, help: str) -> Measure:
    return _counted(label, "USD", "down", help, total(name, kind="money"))


def _quantile(share: float) -> Measure:
    percent = round(share * 100)
    name = f"duration_p{percent}"
    help = (
        f"The duration that {percent} % of the ended runs stay within: exact, interpolated between neighbours "
        "(`percentile_cont`), over runs whose end is known."
    )
    part = quantile(f"{name}_us", share, "duration_us")
    return Measure(name, f"Duration p{percent}", "s", "float", "down", help, part, scale=1_000_000)


def _ended(runs: sa.FromClause) -> Column:
    return runs.c.status != "running"


def _ended_with_cost(runs: sa.FromClause) -> Column:
    return sa.and_(_ended(runs), runs.c.cost.is_not(None))


def _wasted(runs: sa.FromClause) -> Column:
    return sa.func.sum(runs.c.cost).filter(runs.c.status.in_(("failed", "cancelled")))


_RUNS = count("runs")
_ENDED = count("ended", "status", _ended)
_SUCCEEDED = count("succeeded", "status", lambda runs: runs.c.status == "succeeded")
_COST = total("cost", kind="money")
_USERS = distinct("active_users", "user")

_MEASURES = (
    _counted("Runs", "runs", "neither", "All agent runs that started in the period, running ones too.", _RUNS),
    _status("succeeded", "Succeeded", "up", "Runs that reached their goal."),
    _status("failed", "Failed", "down", "Runs that ended with an error."),
    _status("cancelled", "Cancelled", "neither", "Runs that somebody stopped."),
    _status("running", "Running", "neither", "Runs that have not ended yet."),
    Measure(
        "success_rate",
        "Success rate",
        "share",
        "float",
        "up",
        "Succeeded ÷ ended (succeeded, failed and cancelled). "
        "Running ones are left out: they have not had their chance.",
        _SUCCEEDED,
        _ENDED,
    ),
    _tokens("input_tokens", "Input tokens", "Tokens sent to the model, cached ones included."),
    _tokens("output_tokens", "Output tokens", "Tokens that the model made, reasoning included."),
    _counted(
        "Tokens",
        "tokens",
        "neither",
        "Input and output tokens. A run of which one part is unknown is not counted.",
        total("total_tokens", lambda runs: runs.c.input_tokens + runs.c.output_tokens, "input_tokens output_tokens"),
    ),
    _tokens("cache_read_tokens", "Cache reads", "Input tokens that were read from the provider's cache."),
    _tokens("cache_write_tokens", "Cache writes", "Input tokens that were written to the provider's cache."),
    _tokens("reasoning_tokens", "Reasoning tokens", "Output tokens that the model spent on reasoning."),
    _money("input_cost", "Input cost", "What the input tokens cost."),
    _money("output_cost", "Output cost", "What the output tokens cost."),
    _counted("Cost", "USD", "down", "What the runs cost; `cost_coverage` says for how many that is known.", _COST),
    Measure(
        "cost_coverage",
        "Cost coverage",
        "share",
        "float",
        "up",
        "Ended runs with a known cost ÷ ended runs.",
        count("ended_with_cost", "status cost", _ended_with_cost),
        _ENDED,
    ),
    Measure(
        "cost_per_success",
        "Cost per success",
        "USD",
        "money",
        "down",
        "Cost of all runs ÷ succeeded runs: what one result costs, failures included.",
        _COST,
        _SUCCEEDED,
    ),
    _counted(
        "Wasted cost",
        "USD",
        "down",
        "Cost of failed and cancelled runs.",
        Counted("wasted_cost", "money", frozenset(("status", "cost")), _wasted),
    ),
    _counted("Retries", "retries", "down", "How often runs were tried again.", total("retries")),
    Measure(
        "duration_avg",
        "Average duration",
        "s",
        "float",
        "down",
        "Mean duration of ended runs whose end is known.",
        total("duration_sum_us", lambda runs: runs.c.duration_us, "duration_us"),
        Counted(
            "timed", "integer", frozenset(("duration_us",)), lambda runs: sa.func.count(runs.c.duration_us), empty=0
        ),
        scale=1_000_000,
    ),
    _quantile(0.5),
    _quantile(0.95),
    _quantile(0.99),
    Measure(
        "active_users",
        "Active users",
        "users",
        "integer",
        "up",
        "Different people with a run in the period. Runs without a user count nobody.",
        _USERS,
        roles=("ORG_ADMIN", "TEAM_LEAD", "PLATFORM_ADMIN"),
        refusal="it counts the people of a team or an organization, and you see your own runs",
    ),
)
MEASURES = {measure.name: measure for measure in _MEASURES}


def _name(column: str, label: str, help: str) -> Dimension:
    return Dimension(column, label, help, "name", column, lambda relation: relation.c[column])


def _calendar(unit: str, label: str, help: str) -> Dimension:
    def start(relation: sa.FromClause) -> Column:
        return sa.cast(sa.func.date_trunc(unit, relation.c.day), sa.Date)

    return Dimension(unit, label, help, "time", "day", start)


def _time(column: str, label: str, help: str) -> Dimension:
    return Dimension(column, label, help, "time", column, lambda relation: relation.c[column])


_DIMENSIONS = (
    _name("organization", "Organization", "The customer account."),
    _name("team", "Team", "The team at run time; none is *Unattributed*."),
    _name("user", "User", "Who started the run; none is *Unattributed*."),
    _name("agent_type", "Agent type", "The organization's own category of agent."),
    _name("model", "Model", "The model's name as the source sends it."),
    _name("model_version", "Model version", "The model's version as the source sends it."),
    _name("status", "Status", "running, succeeded, failed or cancelled."),
    _name("error_category", "Error category", "What kind of error ended the run."),
    _time("hour", "Hour", "The local hour in which the run started."),
    _time("day", "Day", "The organization's calendar day in which the run started."),
    _calendar("week", "Week", "The ISO week, by its Monday."),
    _calendar("month", "Month", "The calendar month, by its first day."),
)
DIMENSIONS = {dimension.name: dimension for dimension in _DIMENSIONS}


def parts_of(measures: Iterable[str]) -> tuple[Counted, ...]:
    """Each figure that SQL must count for these measures, once."""
    return tuple({part.name: part for name in measures for part in MEASURES[name].parts}.values())
