"""Whatever is asked: parts add up to their whole, and each figure is the one that Python counts from the runs."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_analytics.answer import Answer
from agent_analytics.catalog import MEASURES
from agent_analytics.period import Days, Last, resolve
from agent_analytics.query import Query
from agent_analytics.store import Record
from given import NOW, any_runs, two_organizations
from reference import Run, key_of, measured, started

ZONE = "Europe/Berlin"
RUNS = any_runs("acme")
ADDING = [name for name, measure in MEASURES.items() if measure.adds]
COUNTED = list(measured([]))
FILTERS: dict[str, list[str | None]] = {
    "team": [None, "Search", "Payments", "a'b\"c, d"],
    "user": [None, "ada", "bo", "zoë"],
    "agent_type": ["review", "test", "= 1+1"],
    "model": [None, "m-1", "m-2"],
    "status": ["running", "succeeded", "failed", "cancelled"],
}
SPLITS = [*FILTERS, "error_category", "day", "week", "month", "hour"]
Ask = Callable[..., Answer]

wheres = st.fixed_dictionaries(
    {},
    optional={
        name: st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True) for name, values in FILTERS.items()
    },
)
closed = st.tuples(st.dates(date(2026, 2, 15), date(2026, 3, 29)), st.integers(0, 40)).map(
    lambda drawn: Days(drawn[0], min(drawn[0] + timedelta(days=drawn[1]), date(2026, 3, 29)))
)
periods = st.one_of(st.integers(1, 50).map(Last), closed)
splits = st.lists(st.sampled_from(SPLITS), min_size=1, max_size=3, unique=True)


@pytest.fixture
def ask_of_many(record: Record, ask: Ask) -> Ask:
    two_organizations(record, (ZONE, "Australia/Lord_Howe"))
    return ask


def added_up(answer: Answer, rows: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Of the unknown and the known, the known; of nothing, what the catalog says of nothing."""
    columns = list(zip(*(row[len(answer.query.by) :] for row in rows), strict=True)) or [()] * len(ADDING)
    known = [[value for value in column if value is not None] for column in columns]
    empty = [MEASURES[name].dividend.empty for name in answer.query.measures]
    return tuple(sum(values) if values else nothing for values, nothing in zip(known, empty, strict=True))


def in_period(query: Query) -> list[Run]:
    """The runs that a query is of."""
    days = resolve(query.period, NOW, ZONE).days
    dated = (run for run in RUNS if days.first <= key_of(run, ["day"], ZONE)[0] <= days.last)
    return [run for run in dated if all(run[name] in chosen for name, chosen in query.where)]


def grouped(query: Query, counts: Callable[[Run], bool] = lambda run: True) -> dict[tuple[Any, ...], list[Run]]:
    """Its runs by its dimensions; undivided, also none."""
    groups: dict[tuple[Any, ...], list[Run]] = {} if query.by else {(): []}
    for run in filter(counts, in_period(query)):
        groups.setdefault(key_of(run, query.by, ZONE), []).append(run)
    return groups


def figures(query: Query, runs: list[Run]) -> tuple[Any, ...]:
    """The query's measures; near, where they were divided."""
    found = measured(runs)
    values = (found[name] for name in query.measures)
    return tuple(pytest.approx(value, rel=1e-12) if isinstance(value, float) else value for value in values)


def test_parts_add_up_to_the_whole(ask_of_many: Ask) -> None:
    """Teams and the unattributed to the organization, days to the period."""

    @given(where=wheres, period=periods, by=st.one_of(st.sampled_from([["team"], ["day"]]), splits))
    def check(where: dict[str, Any], period: Any, by: list[str]) -> None:
        whole, parts = (ask_of_many(Query(ADDING, split, where, period)) for split in ((), by))
        assert added_up(parts, parts.rows) == whole.rows[0]

    check()


def test_the_kept_and_the_others_add_up_to_the_whole(ask_of_many: Ask) -> None:
    @given(where=wheres, period=periods, by=splits, limit=st.integers(1, 6), order=st.sampled_from(ADDING))
    def check(where: dict[str, Any], period: Any, by: list[str], limit: int, order: str) -> None:
        (whole,) = ask_of_many(Query(ADDING, where=where, period=period)).rows
        cut = ask_of_many(Query(ADDING, by, where, period, order, limit, other=True))
        others = () if cut.other is None else ((*by, *cut.other),)
        assert added_up(cut, [*cut.rows, *others]) == whole
        every = ask_of_many(Query(ADDING, by, where, period, order, 100_000)).rows
        assert (cut.rows, cut.others) == (every[:limit], len(every[limit:]))

    check()


def test_every_figure_is_the_one_that_python_counts(ask_of_many: Ask) -> None:
    @given(where=wheres, period=periods, by=splits, measures=some_measures())
    def check(where: dict[str, Any], period: Any, by: list[str], measures: list[str]) -> None:
        query = Query(measures, by, where, period)
        counted = {key: figures(query, runs) for key, runs in grouped(query).items()}
        rows = {row[: len(by)]: row[len(by) :] for row in ask_of_many(query).rows}
        assert rows == dict.fromkeys(rows, figures(query, [])) | counted

    check()


def test_the_others_figures_are_those_of_their_runs(ask_of_many: Ask) -> None:
    """Ratios, quantiles and people too, which cannot be added up."""

    @given(where=wheres, period=periods, by=splits, limit=st.integers(1, 4), measures=some_measures())
    def check(where: dict[str, Any], period: Any, by: list[str], limit: int, measures: list[str]) -> None:
        query = Query(measures, by, where, period, None, limit, other=True)
        answer, groups = ask_of_many(query), grouped(query)
        kept = {row[: len(by)] for row in answer.rows}
        others = {key: runs for key, runs in groups.items() if key not in kept}
        assert answer.others == len(others)
        assert (answer.other is None) == (not others)
        if answer.other is not None:
            assert answer.other == figures(query, [run for runs in others.values() for run in runs])

    check()


def some_measures() -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(COUNTED), min_size=1, max_size=5, unique=True)


def test_before_a_closed_period_is_the_same_question_of_the_days_before(ask_of_many: Ask) -> None:
    @given(where=wheres, period=closed, by=st.lists(st.sampled_from(SPLITS), max_size=3, unique=True))
    def check(where: dict[str, Any], period: Days, by: list[str]) -> None:
        length = timedelta(days=len(period))
        query = Query([*ADDING, "duration_p50", "active_users", "success_rate"], by, where, period, before=True)
        days = Days(period.first - length, period.last - length)
        before, same = ask_of_many(query), ask_of_many(replace(query, period=days, before=False))
        assert (before.rows, before.days, before.until) == (same.rows, days, None)

    check()


def test_before_a_running_period_is_counted_up_to_the_same_part_of_it(ask_of_many: Ask) -> None:
    instants = st.integers(0, 40 * 1440).map(lambda minutes: NOW - timedelta(minutes=minutes))
    by = st.lists(st.sampled_from(SPLITS), max_size=2, unique=True)

    @given(now=instants, days=st.integers(1, 20), where=wheres, by=by, measures=some_measures())
    def check(now: datetime, days: int, where: dict[str, Any], by: list[str], measures: list[str]) -> None:
        query = Query(measures, by, where, Last(days), before=True)
        answer = ask_of_many(query, now=now)
        today = now.astimezone(ZoneInfo(ZONE)).replace(tzinfo=None)
        cut = today - timedelta(days=days)
        assert answer.days == Days(cut.date() - timedelta(days=days - 1), cut.date())
        until = cut.replace(tzinfo=ZoneInfo(ZONE)).timestamp()
        groups = grouped(replace(query, period=answer.days), lambda run: started(run).timestamp() < until)
        counted = {key: figures(query, runs) for key, runs in groups.items()}
        rows = {row[: len(by)]: row[len(by) :] for row in answer.rows}
        assert rows == dict.fromkeys(rows, figures(query, [])) | counted

    check()
