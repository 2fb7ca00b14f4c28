"""Every measure and dimension, declared once: what it is called, counted in, means, and how SQL counts it.

A measure is either *counted* by one SQL expression over `local_runs`, or the *ratio* of two counted ones,
divided after all adding up: so a total's ratio is the ratio of totals, and both engines agree to the last digit.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from agent_analytics.tables import local_runs as _relation

_run = _relation.c
_ended = _run.status != "running"

Kind = Literal["integer", "money", "float"]
Good = Literal["up", "down", "neither"]

SQL_TYPES: dict[Kind, sa.types.TypeEngine] = {
    "integer": sa.BigInteger(),
    "money": sa.Numeric(38, 9),
    "float": sa.Double(),
}


@dataclass(frozen=True)
class Counted:
    """A figure that SQL counts. `expression` is null where nothing is known."""

    name: str
    kind: Kind
    expression: sa.ColumnElement

    @property
    def column(self) -> sa.ColumnElement:
        """The expression, of the same type in both engines, under its name."""
        return sa.cast(self.expression, SQL_TYPES[self.kind]).label(self.name)


@dataclass(frozen=True)
class Measure:
    """What can be asked for. `divisor` is None for a counted measure; a ratio with a divisor of 0 is unknown."""

    name: str
    label: str
    unit: str
    kind: Kind
    good: Good
    help: str
    dividend: Counted
    divisor: Counted | None = None
    scale: int = 1

    @property
    def parts(self) -> tuple[Counted, ...]:
        return (self.dividend,) if self.divisor is None else (self.dividend, self.divisor)


@dataclass(frozen=True)
class Dimension:
    """What a measure can be split and filtered by."""

    name: str
    label: str
    help: str
    kind: Literal["name", "time"]
    column: sa.ColumnElement


def _count(name: str, condition: sa.ColumnElement[bool] | None = None) -> Counted:
    every = sa.func.count()
    return Counted(name, "integer", every if condition is None else every.filter(condition))


def _sum(name: str, value: sa.ColumnElement, kind: Kind = "integer") -> Counted:
    return Counted(name, kind, sa.func.sum(value))


def _counted(label: str, unit: str, good: Good, help: str, part: Counted) -> Measure:
    return Measure(part.name, label, unit, part.kind, good, help, part)


def _status(status: str, label: str, good: Good, help: str) -> Measure:
    return _counted(label, "runs", good, help, _count(status, _run.status == status))


def _tokens(name: str, label: str, help: str) -> Measure:
    return _counted(label, "tokens", "neither", help, _sum(name, _run[name]))


def _money(name: str, label: str, help: str) -> Measure:
    return _counted(label, "USD", "down", help, _sum(name, _run[name], "money"))


def _quantile(share: float) -> Measure:
    percent = round(share * 100)
    name = f"duration_p{percent}"
    within = sa.func.percentile_cont(sa.literal_column(str(share), sa.Double)).within_group(_run.duration_us)
    help = (
        f"The duration that {percent} % of the ended runs stay within: exact, interpolated between neighbours "
        "(`percentile_cont`), over runs whose end is known."
    )
    part = Counted(f"{name}_us", "float", within)
    return Measure(name, f"Duration p{percent}", "s", "float", "down", help, part, scale=1_000_000)


_RUNS = _count("runs")
_ENDED = _count("ended", _ended)
_SUCCEEDED = _count("succeeded", _run.status == "succeeded")
_COST = _sum("cost", _run.cost, "money")

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
        _sum("total_tokens", _run.input_tokens + _run.output_tokens),
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
        _count("ended_with_cost", sa.and_(_ended, _run.cost.is_not(None))),
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
        Counted("wasted_cost", "money", sa.func.sum(_run.cost).filter(_run.status.in_(("failed", "cancelled")))),
    ),
    _counted("Retries", "retries", "down", "How often runs were tried again.", _sum("retries", _run.retries)),
    Measure(
        "duration_avg",
        "Average duration",
        "s",
        "float",
        "down",
        "Mean duration of ended runs whose end is known.",
        _sum("duration_sum_us", _run.duration_us),
        Counted("timed", "integer", sa.func.count(_run.duration_us)),
        scale=1_000_000,
    ),
    _quantile(0.5),
    _quantile(0.95),
    _quantile(0.99),
    _counted(
        "Active users",
        "users",
        "up",
        "Different people with a run in the period.",
        Counted("active_users", "integer", sa.func.count(_run.user.distinct())),
    ),
)
MEASURES = {measure.name: measure for measure in _MEASURES}


def _name(column: str, label: str, help: str) -> Dimension:
    return Dimension(column, label, help, "name", _run[column])


def _calendar(unit: str, label: str, help: str) -> Dimension:
    start = sa.cast(sa.func.date_trunc(unit, _run.day), sa.Date)
    return Dimension(unit, label, help, "time", start)


_DIMENSIONS = (
    _name("organization", "Organization", "The customer account."),
    _name("team", "Team", "The team at run time; none is *Unattributed*."),
    _name("user", "User", "Who started the run; none is *Unattributed*."),
    _name("agent_type", "Agent type", "The organization's own category of agent."),
    _name("model", "Model", "The model's name as the source sends it."),
    _name("model_version", "Model version", "The model's version as the source sends it."),
    _name("status", "Status", "running, succeeded, failed or cancelled."),
    _name("error_category", "Error category", "What kind of error ended the run."),
    Dimension("hour", "Hour", "The local hour in which the run started.", "time", _run.hour),
    Dimension("day", "Day", "The organization's calendar day in which the run started.", "time", _run.day),
    _calendar("week", "Week", "The ISO week, by its Monday."),
    _calendar("month", "Month", "The calendar month, by its first day."),
)
DIMENSIONS = {dimension.name: dimension for dimension in _DIMENSIONS}


def parts_of(measures: Iterable[str]) -> tuple[Counted, ...]:
    """Each figure that SQL must count for these measures, once."""
    return tuple({part.name: part for name in measures for part in MEASURES[name].parts}.values())
