"""Runs one by one, under the scope of every answer: one with all that is known of it, and lists, newest first."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import sqlalchemy as sa

from agent_analytics import cursor
from agent_analytics.answer import Answer
from agent_analytics.compile import Row, render
from agent_analytics.errors import NotFound, QueryError, unknown
from agent_analytics.export.runs import selected
from agent_analytics.scope import ORGANIZATION, Principal, Scope, scope_of
from agent_analytics.store import Record
from agent_analytics.tables import local_runs

MOST = 200
SORTS = {"started_at": "started_at", "cost": "cost", "duration": "duration_us"}
WHOLE = tuple(str(column.name) for column in local_runs.c)
# What may be long is shown with one run alone.
SHORT = tuple(name for name in WHOLE if name not in ("attributes", "error_message"))
_TIMES = {column.name for column in local_runs.c if isinstance(column.type, sa.DateTime) and column.type.timezone}
_MONEY = {column.name for column in local_runs.c if isinstance(column.type, sa.Numeric)}
_DECIMAL = re.compile(r"[0-9]{1,11}(\.[0-9]{1,9})?", re.ASCII)

Run = dict[str, Any]


@dataclass(frozen=True)
class Listed:
    """Some of the runs that an answer counts, and the cursor of those that follow, None at the end."""

    runs: tuple[Run, ...]
    next: str | None


def within(principal: Principal, organization: str | None) -> Scope:
    """The scope in one organization: a run's id means nothing without.

    Raises QueryError where a PLATFORM_ADMIN names none, and NotFound where anybody else names another than their own.
    """
    scope = scope_of(principal)
    if organization is None and scope.organization is None:
        raise QueryError("Name the organization: a run's id is unique only within one.")
    if organization is None or organization == scope.organization:
        return scope
    if scope.organization is not None or not ORGANIZATION.fullmatch(organization):
        raise missing()
    return replace(scope, organization=organization)


def missing() -> NotFound:
    """What is not there, and what is another's, are told in the same words."""
    return NotFound("There is no such run, or it is not yours to see.")


def one(record: Record, scope: Scope, run_id: str) -> Run:
    """All that is known of a run; raises NotFound where the scope's runs have none of this id."""
    # PostgreSQL holds no NUL, so no run has such an id.
    chosen = scope.condition() & (local_runs.c.run_id == run_id) if "\0" not in run_id else sa.false()
    with record.reading(scope.organization) as run:
        rows = run(render(sa.select(*_cells(WHOLE)).where(chosen)))
    if not rows:
        raise missing()
    return _run(WHOLE, rows[0])


def page(
    record: Record, found: Answer, scope: Scope, sort: str = "started_at", limit: int = 50, after: str | None = None
) -> Listed:
    """At most `limit` of the runs that `found` counts, the greatest of `sort` first, from the cursor `after` on.

    `scope` must be of one organization. Raises QueryError.
    """
    if sort not in SORTS:
        raise QueryError(unknown("sort", sort, SORTS))
    if not 1 <= limit <= MOST:
        raise QueryError(f"The limit is {limit}; use 1 to {MOST}.")
    column = local_runs.c[SORTS[sort]]
    chosen = selected(found, scope, _cells(SHORT))
    if after is not None:
        chosen = chosen.where(_follows(column, *_place(sort, after)))
    ordered = chosen.order_by(column.desc().nulls_last(), local_runs.c.run_id).limit(limit + 1)
    with record.reading(scope.organization) as run:
        rows = run(render(ordered))
    runs = tuple(_run(SHORT, row) for row in rows[:limit])
    return Listed(runs, _cursor(sort, runs[-1]) if len(rows) > limit else None)


def _cells(names: tuple[str, ...]) -> list[sa.ColumnElement[Any]]:
    """Attributes as the text they are, so that no number of theirs is rounded."""
    attributes = sa.cast(local_runs.c.attributes, sa.Text)
    return [attributes if name == "attributes" else local_runs.c[name] for name in names]


def _run(names: tuple[str, ...], row: Row) -> Run:
    """By the contract's names, times in UTC, with the duration in seconds (None is unknown)."""
    run = dict(zip(names, row, strict=True))
    microseconds = run.pop("duration_us")
    run |= {name: run[name] and run[name].astimezone(UTC) for name in _TIMES}
    if "attributes" in run:
        run["attributes"] = msgspec.Raw(run["attributes"].encode())
    return run | {"duration": None if microseconds is None else microseconds / 1_000_000}


def _follows(column: sa.ColumnElement[Any], value: Any, run_id: str) -> sa.ColumnElement[bool]:
    """Below the place, or beside it and later by id; the unknown come last."""
    later = local_runs.c.run_id > run_id
    if value is None:
        return column.is_(None) & later
    return sa.or_(column < value, column.is_(None), (column == value) & later)


def _cursor(sort: str, run: Run) -> str:
    value = run[sort]
    match value:
        case datetime():
            value = value.isoformat()
        case float():
            value = round(value * 1_000_000)
        case Decimal():
            value = f"{value:f}"
    return cursor.encode([sort, value, run["run_id"]])


def _place(sort: str, after: str) -> tuple[Any, str]:
    """The value and the id of the last run that was shown; raises QueryError for what `_cursor` does not give."""
    match cursor.decode(after):
        case [str() as sorted_by, value, str() as run_id] if sorted_by == sort and _is_text(run_id):
            return _value(sort, value), run_id
    raise cursor.wrong()


def _value(sort: str, value: Any) -> Any:
    if sort == "started_at":
        return cursor.instant(value)
    if value is None:
        return None
    if sort == "cost" and isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value)
    if sort == "duration" and isinstance(value, int) and 0 <= value < 2**63:
        return value
    raise cursor.wrong()


def _is_text(text: str) -> bool:
    """Whether PostgreSQL would take it: no NUL, and no halves of surrogate pairs."""
    return "\0" not in text and text.encode(errors="ignore").decode() == text


def typed(data: Mapping[str, Any]) -> Run:
    """A run from decoded JSON, each value of its own type again: times as `datetime`, money as `Decimal`."""
    run = dict(data)
    for name in run.keys() & _TIMES:
        run[name] = run[name] and datetime.fromisoformat(run[name])
    for name in run.keys() & _MONEY:
        run[name] = None if run[name] is None else Decimal(run[name])
    return run
