"""Everything shown is an answer: `answer(query, scope, engine, now)`, or many at once."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from agent_analytics.answer import Answer
from agent_analytics.catalog import DIMENSIONS, MEASURES
from agent_analytics.compile import Key, Row, Statement, values
from agent_analytics.errors import Forbidden, QueryError, unknown
from agent_analytics.period import Span, resolve, resolve_before
from agent_analytics.query import Query
from agent_analytics.rows import Counted, added_up, filled, measured, ordered
from agent_analytics.scans import Count, counts_of, rest_of, scans
from agent_analytics.scope import Scope
from agent_analytics.tables import STATUSES

EVERYWHERE = "UTC"


class Engine(Protocol):
    """Where rows come from: the record or the cache."""

    name: str
    cubes: bool

    def run(self, statement: Statement, organization: str | None) -> list[Row]: ...

    def zone(self, organization: str) -> str | None: ...

    def as_of(self, now: datetime) -> datetime:
        """The instant up to which what is committed is counted."""
        ...


def answer(query: Query, scope: Scope, engine: Engine, now: datetime) -> Answer:
    """What `engine` knows of `query`, within `scope`, seen at the instant `now`. Raises QueryError, Forbidden."""
    return answers([query], scope, engine, now)[0]


def answers(queries: Sequence[Query], scope: Scope, engine: Engine, now: datetime) -> list[Answer]:
    """All answers, from as few statements as can give them."""
    _check_measures(queries, scope)
    _check_values(queries, scope, engine)
    zone = (scope.organization and engine.zone(scope.organization)) or EVERYWHERE
    as_of = engine.as_of(now)
    spans = [(resolve_before if query.before else resolve)(query.period, now, zone) for query in queries]
    counts = [counts_of(query, scope, span, engine.cubes) for query, span in zip(queries, spans, strict=True)]
    figures = _figures([count for each in counts for count in each], scope, engine)
    found = []
    for query, span, own in zip(queries, spans, counts, strict=True):
        counted = filled(query, _joined([figures[count] for count in own]), span, zone, now)
        keys = ordered(query, counted)
        rows = tuple(key + measured(query, counted[key]) for key in keys[: query.limit])
        other, others = _other(query, counted, keys, span, scope, engine)
        about = (query, span.days, zone, scope.reason, as_of, engine.name)
        found.append(Answer(*about, rows, other, others, span.until, span.notice))
    return found


def _figures(counts: Sequence[Count], scope: Scope, engine: Engine) -> dict[Count, Counted]:
    figures: dict[Count, Counted] = {}
    for scan in scans(counts, scope):
        fetched = engine.run(scan.statement, scope.organization)
        figures |= {count: scan.figures(fetched, count) for count in scan.codes}
    return figures


def _joined(sorts: Sequence[Counted]) -> Counted:
    """The figures of each group from all the relations that they were counted from: the same groups in each."""
    first, *more = sorts
    for sort in more:
        first = {key: parts | sort[key] for key, parts in first.items()}
    return first


def _other(
    query: Query, counted: Counted, keys: Sequence[Key], span: Span, scope: Scope, engine: Engine
) -> tuple[Row | None, int]:
    """The measures of all groups beyond the limit, and how many those are. What does not add up is counted again."""
    rest = keys[query.limit :]
    if not query.other or not rest:
        return None, 0
    parts = added_up(query, (counted[key] for key in rest))
    for found in _figures(rest_of(query, scope, span, keys[: query.limit]), scope, engine).values():
        parts |= found[()]
    return measured(query, parts), len(rest)


def _check_measures(queries: Sequence[Query], scope: Scope) -> None:
    for name in {name: None for query in queries for name in query.measures}:
        measure = MEASURES[name]
        if scope.role not in measure.roles:
            raise Forbidden(f"{name} may not be asked for as {scope.role}: {measure.refusal}.")


def _check_values(queries: Sequence[Query], scope: Scope, engine: Engine) -> None:
    """Each dimension's values are looked up once for all queries."""
    filters = {
        (name, value) for query in queries for name, chosen in query.where for value in chosen if value is not None
    }
    for name in sorted({name for name, _ in filters if DIMENSIONS[name].kind == "name"}):
        known = _known(name, scope, engine)
        for value in sorted({value for filtered, value in filters if filtered == name} - set(known)):
            raise QueryError(unknown(DIMENSIONS[name].label.lower(), value, known))


def _known(dimension: str, scope: Scope, engine: Engine) -> Sequence[str]:
    """The values that the asker's runs have, and no others: nobody learns of a name that is not theirs."""
    if dimension == "status":
        return STATUSES
    rows: list[tuple[Any, ...]] = engine.run(values(dimension, scope, engine.cubes), scope.organization)
    return sorted(value for (value,) in rows if value is not None)
