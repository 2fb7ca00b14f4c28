"""Which runs are asked for, and what is told of them: how many there are, why these, as of when, and their totals."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from importlib.metadata import version
from typing import Any

from agent_analytics.answer import Answer
from agent_analytics.catalog import MEASURES
from agent_analytics.compile import Run
from agent_analytics.export.runs import COLUMNS
from agent_analytics.period import Period
from agent_analytics.query import Filters, Query
from agent_analytics.scope import Scope
from agent_analytics.store import Connection, run


class Moment:
    """An engine over one snapshot of the record: all its answers, and the runs copied from it, are of one moment.

    `now` must be read before the snapshot is opened.
    """

    name = "record"
    cubes = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def reading(self, organization: str | None) -> Iterator[Run]:
        yield partial(run, self._connection)

    def as_of(self, now: datetime) -> datetime:
        return now


def totals(asked: Query, scope: Scope) -> Query:
    """The question for every measure that the scope's role may ask for, over all the runs that `asked` counts."""
    measures = [name for name, measure in MEASURES.items() if scope.role in measure.roles]
    return Query(measures, (), asked.where, asked.period)


def asked_runs(where: Mapping[str, Iterable[str | None]] | Filters, period: Period) -> Query:
    """The question how many runs there are to export."""
    return Query(["runs"], (), where, period)


def manifest(file: str, found: Answer) -> dict[str, Any]:
    """What a file of runs holds: its columns, which runs these are, why, as of when, and their totals."""
    measured = dict(zip(found.columns, found.rows[0], strict=True))
    return {"file": file, "rows": measured["runs"], "columns": COLUMNS} | about(found) | {"totals": measured}


def name_of(found: Answer, scope: Scope, suffix: str) -> str:
    """`runs-<organization>-<first day>-<last day>.<suffix>`."""
    return f"runs-{scope.organization or 'all'}-{found.days.first}-{found.days.last}.{suffix}"


def about(found: Answer) -> dict[str, Any]:
    """Which runs an answer counts, and in whose eyes."""
    return {
        "filters": found.query.to_json().get("where", {}),
        "from": found.days.first,
        "to": found.days.last,
        "until": found.until,
        "timezone": found.zone,
        "reason": found.reason,
        "as_of": found.as_of,
        "notice": found.notice,
        "version": version("agent-analytics"),
    }
