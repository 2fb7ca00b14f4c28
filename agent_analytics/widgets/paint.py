"""Answers made visible: pure functions from answers to HTML, with a chart's specification where there is one.

Every text is escaped by the templates; whoever has the answers paints the same page, kernel or server.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from agent_analytics import figures
from agent_analytics.answer import Answer
from agent_analytics.catalog import MEASURES
from agent_analytics.output import UNKNOWN
from agent_analytics.period import time_zone
from agent_analytics.series import Line, drawn, is_timed, lines

Width = Literal["third", "half", "full", "line"]
Chart = Callable[[Answer], dict[str, Any]]
_NOTES = {"success_rate": "of ended runs", "duration_avg": "per ended run"}


@dataclass(frozen=True)
class Frame:
    """A panel's place on its page: `name` for machines, `title` for people."""

    name: str
    title: str
    width: Width = "half"


@dataclass(frozen=True)
class Painting:
    """A panel as HTML, and its chart as Vega-Lite."""

    html: str
    specification: dict[str, Any] | None = None


def cards(frame: Frame, answers: Sequence[Answer]) -> Painting:
    """The one row of an undivided answer, a card a measure. `cost_coverage` is shown with the cost it is of."""
    (answer,) = answers
    unknown = (None,) * len(answer.query.measures)
    values = dict(zip(answer.query.measures, answer.rows[0] if answer.rows else unknown, strict=True))
    coverage = values.pop("cost_coverage", None) if "cost" in values else None
    shown = [
        {"measure": name, "value": value, "help": _help(name), "note": _note(name, value, coverage)}
        for name, value in values.items()
    ]
    return _painting("cards", frame, cards=shown)


def _help(measure: str) -> str:
    """The catalog's own words, with labels in place of names."""
    named = {name: declared.label for name, declared in MEASURES.items()}
    return re.sub(r"`(\w+)`", lambda match: named.get(match[1], match[1]), MEASURES[measure].help)


def _note(measure: str, value: Any, coverage: float | None) -> str:
    """What a card says below its figure: how much of the cost is known, or the digits that are left out above."""
    if measure == "cost" and coverage is not None and coverage < 1:
        return f"known for {figures.compact('cost_coverage', coverage)} of ended runs"
    full = figures.readable(measure, value)
    return _NOTES.get(measure, "" if full.startswith(figures.compact(measure, value)) else full)


def chart(frame: Frame, answers: Sequence[Answer], draw: Chart) -> Painting:
    """A divided answer as a chart and a table, and the undivided answer as the table's last row."""
    answer, total = answers
    if not any(any(row[len(answer.query.by) :]) for row in answer.rows):
        return _painting("empty", frame, period=figures.span(answer.days))
    shown, timed = lines(answer), is_timed(answer.query)
    table = {
        "heading": figures.heading(answer.query.by[0]),
        "measures": answer.query.measures,
        "lines": shown,
        "shares": _shares(shown, total, answer),
        "total": total.rows[0] if total.rows else (None,) * len(answer.query.measures),
    }
    return _painting("chart", frame, draw(answer), table=table, folded=timed, summary=_summary(frame, answer))


def _shares(shown: list[Line], total: Answer, answer: Answer) -> list[str] | None:
    """Each line's part of the first measure's total, where parts make up the whole and are not days."""
    whole = total.rows[0][0] if total.rows else None
    if is_timed(answer.query) or not whole or not MEASURES[answer.query.measures[0]].adds:
        return None
    parts = (line.figures[0] for line in shown)
    return [UNKNOWN if part is None else figures.compact("success_rate", part / whole) for part in parts]


def _summary(frame: Frame, answer: Answer) -> str:
    """What the chart shows, for who cannot see it."""
    measure, bars = answer.query.measures[0], drawn(answer)
    known = [line for line in bars if line.figures[0] is not None and not line.is_rest]
    said = f"{frame.title}, {figures.span(answer.days)}, {answer.zone}. {figures.heading(measure)}"
    if not known:
        return f"{said}: unknown."
    most = max(known, key=lambda line: line.figures[0])
    is_cut = len(bars) < len(lines(answer))
    count = f"the first {len(bars)} of {len(answer.rows) + answer.others:,}" if is_cut else len(known)
    return f"{said}: {count} bars, the highest {figures.exact(measure, most.figures[0])}, {most.name}."


def status(frame: Frame, answers: Sequence[Answer]) -> Painting:
    """Which days, in whose zone, how fresh, and why these rows."""
    (answer,) = answers
    as_of = answer.as_of.astimezone(time_zone(answer.zone))
    return _painting("status", frame, answer=answer, period=figures.span(answer.days), as_of=as_of)


def waiting(frame: Frame) -> Painting:
    """Nothing is known yet."""
    return _painting("line_waiting" if frame.width == "line" else "waiting", frame)


def failed(frame: Frame, reference: str) -> Painting:
    """The answer could not be had; the log says why, under the same reference."""
    return _painting("line_failed" if frame.width == "line" else "failed", frame, reference=reference)


def _painting(template: str, frame: Frame, specification: dict[str, Any] | None = None, **values: Any) -> Painting:
    html = _templates.get_template(f"{template}.html.j2").render(frame=frame, **values)
    return Painting(html, specification)


_templates = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters.update(
    compact=lambda value, measure: figures.compact(measure, value),
    exact=lambda value, measure: figures.exact(measure, value),
    plain=figures.plain,
    heading=figures.heading,
)
