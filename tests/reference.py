"""Figures counted in Python from runs in the ingest contract, to hold answers against."""

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

Run = dict[str, Any]


def measured(runs: Iterable[Run]) -> dict[str, Any]:
    """Every measure of these runs."""
    each = list(runs)
    statuses = [run["status"] for run in each]
    succeeded, ended = statuses.count("succeeded"), len(each) - statuses.count("running")
    times = sorted(time for run in each if (time := _duration(run)) is not None)
    cost = _sum(_money(run) for run in each)
    wasted = _sum(_money(run) for run in each if run["status"] in ("failed", "cancelled"))
    known = sum(run["status"] != "running" and _money(run) is not None for run in each)
    return {
        "runs": len(each),
        **{status: statuses.count(status) for status in ("succeeded", "failed", "cancelled", "running")},
        "success_rate": succeeded / ended if ended else None,
        **{name: _sum(run.get(name) for run in each) for name in ("input_tokens", "output_tokens", "retries")},
        "total_tokens": _sum(_total(run) for run in each),
        "cost": cost,
        "wasted_cost": wasted,
        "cost_coverage": known / ended if ended else None,
        "cost_per_success": _per(cost, succeeded),
        "duration_avg": _seconds(Fraction(sum(times), len(times))) if times else None,
        **{f"duration_p{percent}": _quantile(times, percent) for percent in (50, 95, 99)},
        "active_users": len({run["user"] for run in each} - {None}),
    }


def started(run: Run) -> datetime:
    return datetime.fromisoformat(run["started_at"])


def local(run: Run, zone: str) -> datetime:
    """What the clocks there showed when it started."""
    return started(run).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def week_of(day: date) -> date:
    year, week, _ = day.isocalendar()
    return date.fromisocalendar(year, week, 1)


TIMES: Mapping[str, Callable[[datetime], Any]] = {
    "hour": lambda moment: moment.replace(minute=0, second=0, microsecond=0),
    "day": lambda moment: moment.date(),
    "week": lambda moment: week_of(moment.date()),
    "month": lambda moment: moment.date().replace(day=1),
}


def key_of(run: Run, by: Iterable[str], zone: str) -> tuple[Any, ...]:
    """The group that it belongs to."""
    return tuple(TIMES[name](local(run, zone)) if name in TIMES else run.get(name) for name in by)


def _duration(run: Run) -> int | None:
    """In microseconds; of those that have ended."""
    if run["status"] == "running" or run["ended_at"] is None:
        return None
    return (datetime.fromisoformat(run["ended_at"]) - started(run)) // timedelta(microseconds=1)


def _money(run: Run) -> Decimal | None:
    return None if run["cost"] is None else Decimal(run["cost"])


def _total(run: Run) -> int | None:
    parts = (run["input_tokens"], run["output_tokens"])
    return None if None in parts else sum(parts)


def _sum(values: Iterable[Any]) -> Any:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _per(cost: Decimal | None, succeeded: int) -> Decimal | None:
    return (cost / succeeded).quantize(Decimal("1e-9"), ROUND_HALF_EVEN) if cost is not None and succeeded else None


def _quantile(times: list[int], percent: int) -> float | None:
    """Interpolated between the neighbours of the place."""
    if not times:
        return None
    place = Fraction(percent, 100) * (len(times) - 1)
    below = math.floor(place)
    above = min(below + 1, len(times) - 1)
    return _seconds(times[below] + (place - below) * (times[above] - times[below]))


def _seconds(microseconds: Fraction) -> float:
    return round(float(microseconds / 1_000_000), 9)
