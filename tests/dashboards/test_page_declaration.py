"""What a notebook declares, asked and painted without a browser."""

import asyncio
import logging
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import ipywidgets
import pytest
from dashboards.made import Gives, Tags, answer, days_of
from hypothesis import given
from hypothesis import strategies as st

from agent_analytics import charts
from agent_analytics.errors import PeriodError, QueryError
from agent_analytics.page import Page, PanelFailed
from agent_analytics.query import Query
from agent_analytics.widgets.paint import Frame, cards, chart
from agent_analytics.widgets.panel import Panel

CANARY = "reasons for the log alone"


def figures(query: Query) -> Iterator[tuple[Any, ...]]:
    """As many runs as days are asked for."""
    known = {"runs": days_of(query), "cost": Decimal("0.5"), "cost_coverage": 0.975}
    counted = tuple(known[name] for name in query.measures)
    yield from ([(value, *counted) for value in ("Search", None)] if query.by else [counted])


def declared(**options: Any) -> Page:
    page = Page("Organization", **options)
    assert isinstance(page.filters, ipywidgets.Widget)
    page.cards("runs", "cost")
    page.panel("By team", Query(["runs", "cost"], by=["team"]), charts.bars)
    return page


def choice(page: Page) -> ipywidgets.ToggleButtons:
    return page._choice


def panels(page: Page) -> dict[str, Panel]:
    return page._panels


def test_declaring_asks_nothing_and_showing_asks_once() -> None:
    page, session = declared(), Gives(figures)
    assert {panel.sequence for panel in panels(page).values()} == {0}
    page.show(session)
    (asked,) = session.calls
    assert len(asked) == len(set(asked))
    assert {days_of(query) for query in asked} == {30}


def test_cards_carry_exact_values() -> None:
    page = declared(days=7)
    page.show(Gives(figures))
    html = panels(page)["totals"].html
    assert 'data-measure="runs" data-value="7"' in html
    assert 'data-measure="cost" data-value="0.5"' in html
    assert "known for 97.5% of ended runs" in html
    assert "cost_coverage" not in html


def test_a_table_ends_with_the_total_of_the_cards() -> None:
    page = declared(days=7)
    page.show(Gives(figures))
    foot = panels(page)["by-team"].html.partition("<tfoot>")[2]
    assert ">7</td>" in foot
    assert ">$0.50</td>" in foot
    assert "Unattributed" in panels(page)["by-team"].html


def test_a_choice_that_is_none_is_refused() -> None:
    with pytest.raises(PeriodError, match="7, 30, 90"):
        Page("Organization", days=31)


def test_the_browser_cannot_paint() -> None:
    page = declared()
    page.show(Gives(figures))
    panel, before = panels(page)["totals"], panels(page)["totals"].html
    panel.set_state({"html": "<b>mine</b>", "sequence": 99})
    assert (panel.html, panel.sequence) == (before, 1)


def test_a_slower_earlier_answer_never_overwrites_a_later_one() -> None:
    page, released = declared(), threading.Event()

    def rows(query: Query) -> Iterable[tuple[Any, ...]]:
        if days_of(query) == 90:
            assert released.wait(30)
        return figures(query)

    async def choose() -> None:
        choice(page).value = 90
        while len(session.calls) < 2:
            await asyncio.sleep(0.01)
        choice(page).value = 7
        while panels(page)["totals"].sequence != 3:
            await asyncio.sleep(0.01)
        released.set()
        await asyncio.gather(*page._tasks)

    session = Gives(rows)
    page.show(session)
    # In a thread of its own: the browser of other tests has a loop in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(choose())).result()
    assert len(session.calls) == 3
    assert {panel.sequence for panel in panels(page).values()} == {3}
    assert 'data-measure="runs" data-value="7"' in panels(page)["totals"].html


def test_of_choices_that_wait_the_newest_alone_is_asked_for() -> None:
    page, session = declared(), Gives(figures)

    async def choose() -> None:
        for number in range(50):
            choice(page).value = (90, 7)[number % 2]
        await asyncio.gather(*page._tasks)

    page.show(session)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(choose())).result()
    assert len(session.calls) == 2
    assert 'data-measure="runs" data-value="7"' in panels(page)["totals"].html


class Refuses(Gives):
    """Has no answer for teams."""

    def answers(self, queries: Iterable[Query]) -> list[Any]:
        queries = list(queries)
        if any(query.by == ("team",) for query in queries):
            raise QueryError(CANARY)
        return super().answers(queries)


def test_one_failed_panel_alone(caplog: pytest.LogCaptureFixture) -> None:
    page = declared()
    with caplog.at_level(logging.ERROR), pytest.raises(PanelFailed, match="By team") as raised:
        page.show(Refuses(figures))
    failed = panels(page)["by-team"]
    assert 'data-state="failed"' in failed.html
    assert CANARY not in failed.html
    reference = str(raised.value).partition("reference ")[2][:8]
    assert reference in failed.html
    assert reference in caplog.text
    assert 'data-measure="runs" data-value="30"' in panels(page)["totals"].html


def test_a_chart_that_fails_takes_its_own_panel_only() -> None:
    page = declared()
    page.panel("Broken", Query(["runs"], by=["team"]), lambda answer: answer.nothing)  # type: ignore[attr-defined]
    with pytest.raises(PanelFailed, match="Broken"):
        page.show(Gives(figures))
    assert 'data-state="ready"' in panels(page)["by-team"].html


def test_a_panel_declared_once_shown_asks_at_once() -> None:
    page, session = declared(), Gives(figures)
    page.show(session)
    again = page.panel("By team", Query(["cost"], by=["team"]), charts.bars)
    assert 'data-state="ready"' in again.html
    assert len(session.calls[1]) == 2


def test_nothing_to_show_is_not_a_failure() -> None:
    page = declared()
    page.show(Gives(lambda query: [] if query.by else [(0, None, None)[: len(query.measures)]]))
    assert 'data-state="empty"' in panels(page)["by-team"].html
    assert "No runs in this period" in panels(page)["by-team"].html
    assert 'data-measure="cost" data-value=""' in panels(page)["totals"].html


@given(st.text(min_size=1, max_size=200).filter(lambda name: "\r" not in name and "\0" not in name))
def test_names_stay_text(name: str) -> None:
    query, total = Query(["runs"], by=["team"]), Query(["runs"])

    def painted(team: str) -> Tags:
        answers = [answer(query, [(team, 1)]), answer(total, [(1,)])]
        return Tags(chart(Frame("by-team", "By team"), answers, charts.bars).html)

    assert painted(name).shape == painted("team").shape
    assert name in painted(name).texts


def test_of_many_names_the_rest_is_asked_for_too_of_times_never() -> None:
    page, session = Page("Organization"), Gives(figures)
    for by in (["team"], ["day"], ["team", "day"]):
        page.panel(" ".join(by), Query(["runs"], by, limit=None if by != ["team", "day"] else 5), charts.bars)
    page.show(session)
    asked = {query.by: (query.limit, query.other) for query in session.calls[0]}
    assert asked == {("team",): (20, True), ("day",): (None, False), ("team", "day"): (5, True), (): (None, False)}


def test_a_table_shows_the_answers_other_and_its_share() -> None:
    query, total = Query(["runs", "success_rate"], ["team"], limit=20, other=True), Query(["runs", "success_rate"])
    rows = [(f"team {number}", 1, 1.0) for number in range(20)]
    answers = [answer(query, rows, other=(280, 0.25), others=280), answer(total, [(300, 0.3)])]
    html = chart(Frame("x", "X"), answers, charts.bars).html
    assert html.count("<tr>") == 1 + 20 + 1 + 1
    last = html.partition("Other (280)")[2].partition("</tr>")[0]
    assert [figure in last for figure in (">280</td>", ">25.0%</td>", ">93.3%</td>")] == [True] * 3
    assert "the first 8 of 300 bars, the highest 1 runs, team 0." in html


@pytest.mark.parametrize(("rows", "said"), [(7, "Runs: 7 bars"), (8, "Runs: the first 8 of 10 bars")])
def test_a_chart_says_how_much_of_an_answer_it_shows(rows: int, said: str) -> None:
    query = Query(["runs"], ["team"], limit=rows, other=True)
    answers = [answer(query, [(f"team {number}", 1) for number in range(rows)], other=(3,), others=2)]
    assert said in chart(Frame("x", "X"), [*answers, answer(Query(["runs"]), [(9,)])], charts.bars).html


def test_what_does_not_add_up_has_no_share() -> None:
    for measure, has_share in {"runs": True, "cost": True, "active_users": False, "success_rate": False}.items():
        answers = [answer(Query([measure], ["team"]), [("Search", 1)]), answer(Query([measure]), [(1,)])]
        assert (">Share</th>" in chart(Frame("x", "X"), answers, charts.bars).html) == has_share


def test_cards_without_a_row_are_unknown() -> None:
    html = cards(Frame("totals", "Totals"), [answer(Query(["runs", "cost"]), [])]).html
    assert html.count('data-value=""') == 2
