"""Answers made by hand, for what is drawn from them, and somebody who gives them."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from typing import Any

from agent_analytics.answer import Answer
from agent_analytics.period import Days, Last, resolve
from agent_analytics.query import Query

NOW = datetime(2026, 11, 21, 20, tzinfo=UTC)
NOVEMBER = Days(date(2026, 11, 1), date(2026, 11, 22))


def answer(query: Query, rows: Iterable[tuple[Any, ...]], days: Days = NOVEMBER, **more: Any) -> Answer:
    """As acme's admin gets it in Kathmandu, where it is past midnight; `more` are fields of the answer."""
    reason = "You see all of acme because you administer it."
    return Answer(query, days, "Asia/Kathmandu", reason, NOW, "cache", tuple(rows), **more)


class Gives:
    """Answers each query with the rows that `rows` has for it, and remembers what it was asked."""

    def __init__(self, rows: Callable[[Query], Iterable[tuple[Any, ...]]]) -> None:
        self.rows = rows
        self.calls: list[list[Query]] = []

    def answers(self, queries: Iterable[Query]) -> list[Answer]:
        self.calls.append(list(queries))
        return [answer(query, self.rows(query), days(query)) for query in self.calls[-1]]


def days(query: Query) -> Days:
    """The days that a query asks for."""
    return resolve(query.period, NOW, "Asia/Kathmandu").days


def days_of(query: Query) -> int:
    """How many days a query asks for."""
    assert isinstance(query.period, Last)
    return query.period.days


class Tags(HTMLParser):
    """The tags, attributes and texts of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """The tags and the names of their attributes."""
        return [(tag, tuple(attributes)) for tag, attributes in self.tags]

    def handle_data(self, data: str) -> None:
        self.texts += data
