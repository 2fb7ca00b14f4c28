"""Charts: valid Vega-Lite from zero, without gaps, with nothing of a tenant's in it but data."""

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import altair as alt
import pytest
from dashboards.made import answer
from hypothesis import given
from hypothesis import strategies as st

from agent_analytics import charts
from agent_analytics.query import Query

BY_DAY = Query(["cost"], by=["day"])
RUNS_BY_DAY = Query(["runs"], by=["day"])
BY_TEAM = Query(["runs"], by=["team"])


def values(specification: dict[str, Any]) -> list[dict[str, Any]]:
    return specification["data"]["values"]


def without_data(specification: dict[str, Any]) -> str:
    return json.dumps({name: part for name, part in specification.items() if name != "data"})


def test_every_row_is_a_bar_and_the_running_day_is_provisional() -> None:
    rows = [(date(2026, 11, day), Decimal("1.5") if day == 3 else None) for day in range(1, 23)]
    drawn = values(charts.bars_over_time(answer(BY_DAY, rows)))
    assert [point["at"] for point in drawn] == [f"2026-11-{day:02}" for day in range(1, 23)]
    assert [point["figure"] for point in drawn[:4]] == [None, None, 1.5, None]
    assert [point["shown"] for point in drawn[:4]] == ["—", "—", "$1.50", "—"]
    assert [point["at"] for point in drawn if point["state"] == "provisional"] == ["2026-11-22"]


def test_no_runs_are_a_bar_of_none() -> None:
    rows = [(date(2026, 11, 3), 5), (date(2026, 11, 4), 0)]
    assert [point["figure"] for point in values(charts.bars_over_time(answer(RUNS_BY_DAY, rows)))] == [5, 0]


def test_other_units_of_time() -> None:
    hours = charts.bars_over_time(answer(Query(["runs"], by=["hour"]), [(datetime(2026, 11, 22, 1), 5)]))
    assert [point["state"] for point in values(hours)] == ["provisional"]
    weeks = charts.bars_over_time(
        answer(Query(["runs"], by=["week"]), [(date(2026, 11, 9), 5), (date(2026, 11, 16), 5)])
    )
    assert [point["state"] for point in values(weeks)] == ["complete", "provisional"]
    months = charts.bars_over_time(answer(Query(["runs"], by=["month"]), [(date(2026, 11, 1), 5)]))
    assert [point["name"] for point in values(months)] == ["Nov 2026, so far"]


@pytest.mark.parametrize("more", [{}, {"other": (50,), "others": 293}])
def test_at_most_eight_bars_of_the_answers_own_figures(more: dict[str, Any]) -> None:
    rows = [(f"team {number}", 100 - number) for number in range(20)]
    drawn = values(charts.bars(answer(BY_TEAM, rows, **more)))
    assert [(point["name"], point["figure"]) for point in drawn] == rows[:8]


def test_where_there_is_room_the_others_are_a_bar() -> None:
    rates = Query(["success_rate"], by=["team"], limit=2, other=True)
    drawn = values(charts.bars(answer(rates, [("a", 1.0), ("b", 0.5)], other=(0.25,), others=3)))
    assert [(point["name"], point["figure"]) for point in drawn] == [("a", 1.0), ("b", 0.5), ("Other (3)", 0.25)]


def test_names_that_read_the_same_stay_apart() -> None:
    drawn = values(charts.bars(answer(BY_TEAM, [("Unattributed", 2), (None, 1)])))
    assert len({point["name"] for point in drawn}) == 2


names = st.one_of(
    st.none(), st.text(max_size=300), st.sampled_from(["datum.x", "</script>", "{{x}}", "figure", "name:N"])
)


@given(st.lists(st.tuples(names, st.integers(0, 10**15)), max_size=20, unique_by=lambda row: row[0]))
def test_a_tenants_names_are_data_and_nothing_else(rows: list[tuple[str | None, int]]) -> None:
    specification = charts.bars(answer(BY_TEAM, rows))
    assert without_data(specification) == without_data(charts.bars(answer(BY_TEAM, [])))
    alt.Chart.from_dict(specification)


def test_bars_start_at_zero() -> None:
    for specification in (charts.bars_over_time(answer(BY_DAY, [])), charts.bars(answer(BY_TEAM, []))):
        channel = specification["encoding"]["x" if specification["height"] != 200 else "y"]
        assert specification["mark"]["type"] == "bar"
        assert channel["type"] == "quantitative"
        assert channel.get("scale", {}).get("zero", True)


def test_the_look_comes_from_the_pages_tokens() -> None:
    css = charts.TOKENS.read_text()
    config = charts.theme()["config"]
    assert all(
        f"--aa-series-{number + 1}: {colour};" in css for number, colour in enumerate(config["range"]["category"])
    )
