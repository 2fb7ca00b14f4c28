"""Everything shown is an answer: `answer(query, scope, engine, now)`, or many at once."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from agent_analytics import anonymous
from agent_analytics.answer import Answer
from agent_analytics.catalog import DIMENSIONS, MEASURES
from agent_analytics.compile import Key, Row, Run, newest, values, zone_of
from agent_analytics.errors import Forbidden, QueryError, ServiceError, unknown
from agent_analytics.period import Span, resolve, resolve_before, time_zone
from agent_analytics.query import Query
from agent_analytics.rows import Counted, added_up, filled, measured, ordered, unpublished
from agent_analytics.scans import Count, counts_of, rest_of, scans
from agent_analytics.scope import Scope
from agent_analytics.tables import STATUSES

EVERYWHERE = "UTC"


class Engine(Protocol):
    """Where rows come from: the record, or the cache with its cubes."""

    name: str
    cubes: bool

    def as_of(self, now: datetime) -> datetime:
        """The instant up to which what is committed is counted, by whatever is read from now on."""
        ...

    def reading(self, organization: str | None) -> AbstractContextManager[Run]:
        """One moment of an organization or, for None, of all: every statement that is run sees the same."""
        ...


def answer(query: Query, scope: Scope, engine: Engine, now: datetime) -> Answer:
    """What `engine` knows of `query`, within `scope`, seen at the instant `now`. Raises QueryError, Forbidden."""
    return answers([query], scope, engine, now)[0]


def answers(queries: Sequence[Query], scope: Scope, engine: Engine, now: datetime) -> list[Answer]:
    """All answers, of the same moment, from as few statements as can give them."""
    if scope.anonymous:
        _check_anonymous(queries, engine)
    _check_measures(queries, scope)
    as_of = engine.as_of(now)
    with engine.reading(scope.organization) as run:
        return _Asking(scope, engine, now, as_of, run).answers(queries)


class _Asking:
    """One call: by whom, when, and how statements are run."""

    def __init__(self, scope: Scope, engine: Engine, now: datetime, as_of: datetime, run: Run) -> None:
        self._scope, self._engine, self._now, self._as_of, self._run = scope, engine, now, as_of, run
        zones = run(zone_of(scope.organization)) if scope.organization else []
        self._zone = zones[0][0] if zones else EVERYWHERE
        self._notice = self._published() if scope.anonymous else None

    def _published(self) -> str:
        """Take over the lines' own time, and say it."""
        [(published_at,)] = self._run(newest(self._scope))
        if published_at is None:
            return anonymous.NOTHING_YET
        self._as_of = published_at.astimezone(UTC)
        shown = published_at.astimezone(time_zone(self._zone)).replace(tzinfo=None)
        return f"As of {shown.isoformat(timespec='minutes')}: runs that had ended, of days that were over."

    def answers(self, queries: Sequence[Query]) -> list[Answer]:
        self._check_values(queries)
        spans = [self._span(query) for query in queries]
        counts = [counts_of(*pair, self._scope, self._engine.cubes) for pair in zip(queries, spans, strict=True)]
        figures = self._figures([count for each in counts for count in each])
        return [
            self._answer(query, span, _joined([figures[count] for count in own]))
            for query, span, own in zip(queries, spans, counts, strict=True)
        ]

    def _span(self, query: Query) -> Span:
        span = (resolve_before if query.before else resolve)(query.period, self._now, self._zone)
        # A line is of a whole day.
        return replace(span, until=None) if self._scope.anonymous else span

    def _answer(self, query: Query, span: Span, found: Counted) -> Answer:
        counted = filled(query, found, span, self._zone, self._now)
        if self._scope.anonymous:
            counted = unpublished(counted)
        keys = ordered(query, counted)
        rows = tuple(key + measured(query, counted[key]) for key in keys[: query.limit])
        other, others = self._other(query, counted, keys, span)
        about = (query, span.days, self._zone, self._scope.reason, self._as_of, self._engine.name)
        notice = " ".join(filter(None, (span.notice, self._notice))) or None
        return Answer(*about, rows, other, others, span.until, notice)

    def _figures(self, counts: Sequence[Count]) -> dict[Count, Counted]:
        figures: dict[Count, Counted] = {}
        for scan in scans(counts, self._scope):
            fetched = self._run(scan.statement)
            figures |= {count: scan.figures(fetched, count) for count in scan.codes}
        return figures

    def _other(self, query: Query, counted: Counted, keys: Sequence[Key], span: Span) -> tuple[Row | None, int]:
        """The measures of all groups beyond the limit, and how many those are. What does not add up is counted."""
        rest = keys[query.limit :]
        if not query.other or not rest:
            return None, 0
        parts = added_up(query, (counted[key] for key in rest))
        for found in self._figures(rest_of(query, span, keys[: query.limit])).values():
            parts |= found[()]
        return measured(query, parts), len(rest)

    def _check_values(self, queries: Sequence[Query]) -> None:
        """Each dimension's values are looked up once for all queries."""
        filters = {(name, value) for query in queries for name, chosen in query.where for value in chosen}
        for name in sorted({name for name, value in filters if value is not None and DIMENSIONS[name].kind == "name"}):
            known = self._known(name)
            asked = {value for filtered, value in filters if filtered == name and value is not None}
            for value in sorted(asked - set(known)):
                raise QueryError(unknown(DIMENSIONS[name].label.lower(), value, known))

    def _known(self, dimension: str) -> Sequence[str]:
        """The values that the asker's runs have, and no others: nobody learns of a name that is not theirs."""
        if dimension == "status":
            return STATUSES
        rows = self._run(values(dimension, self._scope, self._engine.cubes))
        return sorted(value for (value,) in rows if value is not None)


def _joined(sorts: Sequence[Counted]) -> Counted:
    """The figures of each group from all the relations that they were counted from: the same groups in each."""
    first, *more = sorts
    for sort in more:
        first = {key: parts | sort[key] for key, parts in first.items()}
    return first


def _check_measures(queries: Sequence[Query], scope: Scope) -> None:
    for name in {name: None for query in queries for name in query.measures}:
        measure = MEASURES[name]
        if scope.role not in measure.roles:
            raise Forbidden(f"{name} may not be asked for as {scope.role}: {measure.refusal}.")


def _check_anonymous(queries: Sequence[Query], engine: Engine) -> None:
    """Lines are few: the record alone holds them, and what decides who may see which."""
    if engine.cubes:
        raise ServiceError("Published lines are in the record alone. Ask the record.")
    for query in queries:
        anonymous.check(query)
