"""Charts: an answer in, a Vega-Lite specification out, made with Altair.

No field name, expression or other part of a specification comes from an organization's data: its names
are data values alone. Widths are the page's to decide, and so are colours: `theme` has those of the light
page, and where a page is shown its script puts the page's own in their place.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt

from agent_analytics.answer import Answer
from agent_analytics.catalog import MEASURES
from agent_analytics.figures import compact, heading, label
from agent_analytics.series import Line, drawn, is_provisional

Specification = dict[str, Any]
TOKENS = Path(__file__).with_name("frontend") / "tokens.css"
_HEIGHT = 200
_BAR_STEP = 30
_COMPLETE, _PROVISIONAL = "complete", "provisional"
# d3 writes a billion as G, the rest of the page writes B; and what is less than a cent keeps its digits.
_AXIS_LABELS = {
    "USD": "replace(format(datum.value, datum.value < 1000 ? '$.3~r' : '$.3~s'), 'G', 'B')",
    "share": "format(datum.value, '.0%')",
    "s": "format(datum.value, '.3~s') + 's'",
}
_COUNT_LABEL = "replace(format(datum.value, '.3~s'), 'G', 'B')"
_TIME_LABELS = {"hour": "%-d %b, %H:%M", "day": "%-d %b", "week": "%-d %b", "month": "%b %Y"}
_MOST_TIME_LABELS = 5


def bars_over_time(answer: Answer) -> Specification:
    """The query's first measure over its time, bars from zero, the last bar lighter while its time runs."""
    dimension, measure = answer.query.by[0], answer.query.measures[0]
    points = [_point(answer, row) for row in answer.rows]
    state = alt.Scale(domain=[_COMPLETE, _PROVISIONAL], range=[1, 0.45])
    return _specification(
        _chart(points)
        .mark_bar(invalid="show")
        .encode(
            x=alt.X("at:O", sort=None, axis=_time_axis(dimension, points), scale=alt.Scale(paddingInner=0.15)),
            y=alt.Y("figure:Q", axis=_measure_axis(measure)),
            opacity=alt.Opacity("state:O", legend=None, scale=state),
            tooltip=_tooltip(dimension, measure),
        ),
        height=_HEIGHT,
    )


def bars(answer: Answer) -> Specification:
    """The query's first measure by its first dimension, horizontal bars from zero, the first of the answer's order."""
    dimension, measure = answer.query.by[0], answer.query.measures[0]
    axis = alt.Axis(title=None, labelLimit=150, ticks=False, domain=False, grid=False)
    chart = _chart(_bars(measure, drawn(answer))).mark_bar(invalid="show")
    return _specification(
        chart.encode(
            y=alt.Y("name:N", sort=None, axis=axis),
            x=alt.X("figure:Q", axis=_measure_axis(measure)),
            tooltip=_tooltip(dimension, measure),
        ),
        height={"step": _BAR_STEP},
    )


@alt.theme.register("agent_analytics", enable=True)
def theme() -> alt.theme.ThemeConfig:
    """The one look of all charts, from the pages' own tokens."""
    return alt.theme.ThemeConfig(config=_config())


def _config() -> Any:
    text, muted = _token("text"), _token("text-muted")
    return {
        "background": "transparent",
        "font": "system-ui, sans-serif",
        "view": {"stroke": None},
        "bar": {"color": _token("series-1"), "cornerRadiusEnd": 2},
        "range": {"category": [_token(f"series-{number}") for number in range(1, 9)]},
        "axis": {
            "labelColor": muted,
            "labelFontSize": 12,
            "titleColor": text,
            "gridColor": _token("line"),
            "domainColor": _token("line-strong"),
            "tickColor": _token("line-strong"),
        },
        "legend": {"labelColor": muted, "titleColor": text},
    }


@cache
def _tokens() -> dict[str, str]:
    """The light page's tokens: the first block of the stylesheet."""
    block = TOKENS.read_text().partition("}")[0]
    return dict(re.findall(r"--aa-([\w-]+):\s*([^;]+);", block))


def _token(name: str) -> str:
    return _tokens()[name]


def _chart(values: list[dict[str, Any]]) -> alt.Chart:
    return alt.Chart(alt.Data(values=values))


def _point(answer: Answer, row: tuple[Any, ...]) -> dict[str, Any]:
    start, value = row[0], row[1]
    dimension, measure = answer.query.by[0], answer.query.measures[0]
    open_ended = is_provisional(answer, start)
    return {
        "at": start.isoformat(),
        "figure": _number(value),
        "name": label(dimension, start) + (", so far" if open_ended else ""),
        "shown": compact(measure, value),
        "state": _PROVISIONAL if open_ended else _COMPLETE,
    }


def _bars(measure: str, shown: list[Line]) -> list[dict[str, Any]]:
    names = _distinct([line.name for line in shown])
    return [
        {"name": name, "figure": _number(line.figures[0]), "shown": compact(measure, line.figures[0])}
        for name, line in zip(names, shown, strict=True)
    ]


def _distinct(names: list[str]) -> list[str]:
    """Two that read the same stay two bars: a team may be called *Other* or *Unattributed*."""
    return [name + "\u200b" * names[:position].count(name) for position, name in enumerate(names)]


def _number(value: Any) -> float | int | None:
    """What a bar's length is made of; exact figures are in the tables."""
    return value if value is None or isinstance(value, int) else float(value)


def _time_axis(dimension: str, points: list[dict[str, Any]]) -> alt.Axis:
    """A few labels, the last of them at the last bar."""
    every = max(1, -(-len(points) // _MOST_TIME_LABELS))
    values = [point["at"] for point in points][::-1][::every][::-1]
    text = f"utcFormat(datetime(datum.value + 'Z'), '{_TIME_LABELS[dimension]}')"
    return alt.Axis(title=None, values=values, labelExpr=text, labelAngle=0, labelOverlap=True, grid=False)


def _measure_axis(measure: str) -> alt.Axis:
    declared = MEASURES[measure]
    text = _AXIS_LABELS.get(declared.unit, _COUNT_LABEL)
    step: Any = 1 if declared.kind == "integer" else alt.Undefined
    return alt.Axis(title=None, tickCount=4, domain=False, ticks=False, labelExpr=text, tickMinStep=step)


def _tooltip(dimension: str, measure: str) -> list[alt.Tooltip]:
    return [alt.Tooltip("name:N", title=heading(dimension)), alt.Tooltip("shown:N", title=heading(measure))]


def _specification(chart: alt.Chart, height: int | dict[str, int]) -> Specification:
    return chart.properties(width="container", height=height).to_dict()
