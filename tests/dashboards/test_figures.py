"""How figures are written."""

from datetime import date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_analytics.figures import compact, exact, label, plain, readable, span
from agent_analytics.period import Days


@pytest.mark.parametrize(
    ("measure", "value", "written"),
    [
        ("runs", 0, "0"),
        ("runs", 9_999, "9,999"),
        ("runs", 10_000, "10.0k"),
        ("runs", 999_499, "999k"),
        ("runs", 999_500, "1.00M"),
        ("total_tokens", 12_345_678_901, "12.3B"),
        ("total_tokens", 10**15, "1,000T"),
        ("cost", Decimal(0), "$0"),
        ("cost", Decimal("0.000000001"), "$0.0000000010"),
        ("cost", Decimal("0.00999"), "$0.010"),
        ("cost", Decimal("0.019"), "$0.02"),
        ("cost", Decimal("999.994"), "$999.99"),
        ("cost", Decimal("1234.5"), "$1,234"),
        ("cost", Decimal("15723.4"), "$15.7k"),
        ("success_rate", 1.0, "100%"),
        ("success_rate", 0.99999, ">99.9%"),
        ("success_rate", 0.0, "0%"),
        ("success_rate", 0.00001, "<0.1%"),
        ("duration_avg", 0.0421, "42ms"),
        ("duration_avg", 4.24, "4.2s"),
        ("duration_avg", 59.7, "1m 0s"),
        ("duration_avg", 3599.9, "1h 0m"),
        ("duration_avg", 100_000.0, "1d 3h"),
        ("cost", None, "—"),
    ],
)
def test_compact(measure: str, value: object, written: str) -> None:
    assert compact(measure, value) == written


@given(st.decimals(Decimal("0.000000001"), Decimal(10**15), places=9))
def test_no_cost_is_shown_as_nothing(cost: Decimal) -> None:
    shown = compact("cost", cost)
    assert any(digit in shown for digit in "123456789")
    assert len(shown) <= 13


@given(st.decimals(0, Decimal(10**12), places=9))
def test_machines_get_every_digit(cost: Decimal) -> None:
    assert Decimal(plain(cost)) == cost
    assert Decimal(exact("cost", cost).replace("$", "").replace(",", "")) == cost


def test_unknown_is_not_zero() -> None:
    assert (exact("cost", None), plain(None), readable("cost", None)) == ("unknown", "", "unknown")


def test_days_and_hours() -> None:
    assert span(Days(date(2025, 12, 29), date(2026, 1, 4))) == "29 Dec 2025 – 4 Jan 2026"
    assert span(Days(date(2026, 1, 4), date(2026, 1, 4))) == "4 Jan 2026"
    assert label("hour", datetime(2026, 3, 1, 14)) == "1 Mar 2026, 14:00"
    assert label("week", date(2026, 3, 2)) == "Mon 2 Mar 2026"
