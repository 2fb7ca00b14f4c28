"""What a dashboard notebook declares: its page, the choice of a period, and its panels.

Declaring asks nothing. `show` asks for all panels in one call, and again whenever the period changes.
"""

import asyncio
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import ipywidgets
from traitlets.log import get_logger

from agent_analytics.answer import Answer
from agent_analytics.errors import AgentAnalyticsError, QueryError, ServiceError
from agent_analytics.period import Last, Period
from agent_analytics.query import Query
from agent_analytics.series import is_timed
from agent_analytics.widgets import paint
from agent_analytics.widgets.paint import Chart, Frame, Painting, Width
from agent_analytics.widgets.panel import Panel
from agent_analytics.widgets.periods import choice

Answers = list[Answer]
MOST_LINES = 20


class PanelFailed(ServiceError):
    """A panel has no answer, and says so where it stands."""


class Asks(Protocol):
    """Whoever has the answers: a `Session`."""

    def answers(self, queries: Sequence[Query]) -> Answers: ...


@dataclass(frozen=True)
class Part:
    """One panel as declared: what it asks, and how it is painted from the answers in that order."""

    frame: Frame
    queries: tuple[Query, ...]
    paint: Callable[[Frame, Answers], Painting] = field(compare=False)

    def asked(self, period: Period) -> list[Query]:
        """Its queries over the page's period."""
        return [replace(query, period=period) for query in self.queries]


class Page:
    """A page of panels over one period, `days` long at first. Raises PeriodError if that is none of `periods`."""

    def __init__(self, title: str, periods: Sequence[int] = (7, 30, 90), days: int = 30) -> None:
        self.title = title
        self.parts: dict[str, Part] = {}
        self._panels: dict[str, Panel] = {}
        self._choice = choice(periods, days)
        self._choice.observe(lambda change: self._ask_again(), names="value")
        self._session: Asks | None = None
        self._sequence = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def period(self) -> Last:
        """The chosen period."""
        return Last(self._choice.value)

    @property
    def filters(self) -> ipywidgets.Widget:
        """The choice of the period, and what the page then shows."""
        status = self._add(Part(Frame("status", "Period", "line"), (Query(["runs"]),), paint.status))
        return ipywidgets.HBox([self._choice, status])

    def cards(self, *measures: str, title: str = "Totals") -> Panel:
        """A card for each measure over the whole period."""
        coverage = ("cost_coverage",) if "cost" in measures else ()
        return self._add(Part(Frame(_name(title), title, "full"), (Query(measures + coverage),), paint.cards))

    def panel(self, title: str, query: Query, chart: Chart, width: Width = "half") -> Panel:
        """A chart of `query`, with its table and total. The page's period takes the place of the query's own.

        Of names, what is beyond the query's limit, or MOST_LINES, is added up in the table's last line.
        """
        asked = query if is_timed(query) else replace(query, limit=query.limit or MOST_LINES, other=True)
        total = replace(query, by=(), order=None, limit=None, other=False)
        return self._add(Part(Frame(_name(title), title, width), (asked, total), partial(paint.chart, draw=chart)))

    def show(self, session: Asks) -> None:
        """Ask for everything, and answer the choice of a period from now on. Raises the first panel's failure."""
        self._session = session
        self._sequence += 1
        failures = self._paint(self._sequence, _fetch(session, list(self.parts.values()), self.period))
        if failures:
            raise PanelFailed(failures[0])

    def _add(self, part: Part) -> Panel:
        """A panel that waits for `show`; declared again once shown, it asks at once."""
        name = part.frame.name
        self.parts[name] = part
        self._panels[name] = panel = Panel(paint.waiting(part.frame), self._ask_again)
        if self._session is not None:
            self._paint(self._sequence, _fetch(self._session, [part], self.period))
        return panel

    def _ask_again(self) -> None:
        """Ask beside the kernel's loop, so that a newer choice need not wait for an older one's answers."""
        if self._session is None:
            return
        self._sequence += 1
        asked = self._sequence, self._session, list(self.parts.values()), self.period
        task = asyncio.get_running_loop().create_task(self._follow(*asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, sequence: int, session: Asks, parts: list[Part], period: Period) -> None:
        """What was asked for meanwhile goes first: of many askings that wait for a thread, the newest alone asks."""
        fetched = await asyncio.to_thread(
            lambda: _fetch(session, parts, period) if sequence == self._sequence else dict[str, Answers | Exception]()
        )
        if sequence == self._sequence:
            self._paint(sequence, fetched)

    def _paint(self, sequence: int, fetched: "dict[str, Answers | Exception]") -> list[str]:
        """Show each panel its answers, or that it failed; what failed comes back, a line each."""
        failures, reference = [], secrets.token_hex(4)
        for name, result in fetched.items():
            painting, failure = _painted(self.parts[name], result, reference)
            self._panels[name].show(painting, sequence)
            failures += [failure] if failure else []
        return failures


def _name(title: str) -> str:
    """The title for machines: `Runs per day` is `runs-per-day`."""
    return re.sub(r"\W+", "-", title.lower()).strip("-")


def _fetch(session: Asks, parts: list[Part], period: Period) -> "dict[str, Answers | Exception]":
    """Each part's answers by its name, from one call; a refused question then costs its own part alone."""
    asked = {part.frame.name: part.asked(period) for part in parts}
    try:
        return _answered(session, asked)
    except QueryError as error:
        if len(parts) == 1:
            return {parts[0].frame.name: error}
        return {name: result for part in parts for name, result in _fetch(session, [part], period).items()}
    except Exception as error:
        return dict.fromkeys(asked, error)


def _answered(session: Asks, asked: dict[str, list[Query]]) -> "dict[str, Answers | Exception]":
    """One call, in which no question is asked twice."""
    distinct = list(dict.fromkeys(query for queries in asked.values() for query in queries))
    answers = dict(zip(distinct, session.answers(distinct), strict=True))
    return {name: [answers[query] for query in queries] for name, queries in asked.items()}


def _painted(part: Part, result: "Answers | Exception", reference: str) -> tuple[Painting, str | None]:
    """The panel, or its failed state and why; the log has that under the same reference."""
    try:
        if isinstance(result, Exception):
            raise result
        return part.paint(part.frame, result), None
    except Exception as error:
        known = isinstance(error, AgentAnalyticsError)
        get_logger().error("Panel %s failed, reference %s: %s", part.frame.name, reference, error, exc_info=not known)
        return paint.failed(part.frame, reference), f"Panel {part.frame.title!r} failed, reference {reference}: {error}"
