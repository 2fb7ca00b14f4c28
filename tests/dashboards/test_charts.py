"""Charts: valid Vega-Lite from zero, without gaps, with nothing of a tenant's in it but data."""

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import altair as alt
from dashboards.made import answer
from hypothesis import given
from hypothesis import strategies as st

from agent_analytics import charts
from agent_analytics.query import Query

BY_DAY = Query(["cost"], by=["day"])
BY_TEAM = Query(["runs"], by=["team"])


def values(specification: dict[str, Any]) -> list[dict[str, Any]]:
    return specification["data"]["values"]


def without_data(specification: dict[str, Any]) -> str:
    return json.dumps({name: part for name, part in specification.items() if name != "data"})


def test_every_day_has_its_place_and_the_running_one_is_provisional() -> None:
    drawn = values(charts.bars_over_time(answer(BY_DAY, [(date(2026, 11, 3), Decimal("1.5"))])))
    assert [point["at"] for point in drawn] == [f"2026-11-{day:02}" for day in range(1, 23)]
    assert [point["figure"] for point in drawn[:4]] == [None, None, 1.5, None]
    assert [point["at"] for point in drawn if point["state"] == "provisional"] == ["2026-11-22"]


def test_days_without_runs_are_zero_runs_but_of_unknown_cost() -> None:
    runs = values(charts.bars_over_time(answer(Query(["runs"], by=["day"]), [(date(2026, 11, 3), 5)])))
    assert {point["figure"] for point in runs} == {0, 5}
    assert {point["shown"] for point in values(charts.bars_over_time(answer(BY_DAY, [])))} == {"—"}


def test_other_units_of_time() -> None:
    hours = charts.bars_over_time(answer(Query(["runs"], by=["hour"]), [(datetime(2026, 11, 22, 1), 5)]))
    assert [point["state"] for point in values(hours)] == ["provisional"]
    weeks = charts.bars_over_time(
        answer(Query(["runs"], by=["week"]), [(date(2026, 11, 9), 5), (date(2026, 11, 16), 5)])
    )
    assert [point["state"] for point in values(weeks)] == ["complete", "provisional"]
    months = charts.bars_over_time(answer(Query(["runs"], by=["month"]), [(date(2026, 11, 1), 5)]))
    assert [point["name"] for point in values(months)] == ["Nov 2026, so far"]


def test_at_most_eight_bars_and_nothing_is_lost() -> None:
    drawn = values(charts.bars(answer(BY_TEAM, [(f"team {number}", 100 - number) for number in range(300)])))
    assert len(drawn) == 8
    assert drawn[-1]["name"] == "Other (293)"
    assert sum(point["figure"] for point in drawn) == sum(100 - number for number in range(300))


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
