"""How figures are written for people: compact where space is short, exact where somebody asks."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from agent_analytics.catalog import DIMENSIONS, MEASURES
from agent_analytics.output import UNATTRIBUTED, UNKNOWN
from agent_analytics.period import Days

_SCALES = ((Decimal(10) ** 12, "T"), (Decimal(10) ** 9, "B"), (Decimal(10) ** 6, "M"), (Decimal(1000), "k"))
_UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s"))


def compact(measure: str, value: Any) -> str:
    """A figure in a few characters.

    >>> compact("runs", 1234), compact("total_tokens", 45_678_901), compact("cost", Decimal("0.0042"))
    ('1,234', '45.7M', '$0.0042')
    >>> compact("success_rate", 0.9642), compact("duration_avg", 102.4), compact("cost", None)
    ('96.4%', '1m 42s', '—')
    """
    if value is None:
        return UNKNOWN
    match MEASURES[measure].unit:
        case "USD":
            return _money(Decimal(value))
        case "share":
            return _percent(float(value))
        case "s":
            return _duration(float(value))
    return _short(Decimal(value), 0)


def exact(measure: str, value: Any) -> str:
    """A figure with all its digits and its unit.

    >>> exact("runs", 1234), exact("cost", Decimal("1234.500000000")), exact("duration_avg", 102.4)
    ('1,234 runs', '$1,234.50', '102.4 s')
    """
    if value is None:
        return "unknown"
    unit = MEASURES[measure].unit
    if unit == "USD":
        return _dollars(Decimal(value))
    return f"{100 * value:,.6g}%" if unit == "share" else f"{value:,} {unit}"


def readable(measure: str, value: Any) -> str:
    """A figure with the digits that matter to a reader: as `exact`, but whole dollars end with their cents.

    >>> readable("cost", Decimal("1234.567891234")), readable("cost", Decimal("0.004217"))
    ('$1,234.57', '$0.004217')
    """
    if value is not None and MEASURES[measure].unit == "USD" and abs(value) >= 1:
        return f"${value:,.2f}"
    return exact(measure, value)


def plain(value: Any) -> str:
    """A figure for machines: all digits, no separators; empty where unknown.

    >>> plain(Decimal("0E-9")), plain(1234), plain(None)
    ('0.000000000', '1234', '')
    """
    if value is None:
        return ""
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def label(dimension: str, value: Any) -> str:
    """A dimension's value.

    >>> label("team", None), label("day", date(2026, 11, 21)), label("month", date(2026, 11, 1))
    ('Unattributed', 'Sat 21 Nov 2026', 'Nov 2026')
    """
    if value is None:
        return UNATTRIBUTED
    if isinstance(value, datetime):
        return f"{_day(value)} {value:%Y, %H:%M}"
    if isinstance(value, date):
        return f"{value:%b %Y}" if dimension == "month" else f"{value:%a} {_day(value)} {value.year}"
    return str(value)


def heading(column: str) -> str:
    """What a column is called."""
    return (MEASURES[column] if column in MEASURES else DIMENSIONS[column]).label


def span(days: Days) -> str:
    """The days in words.

    >>> span(Days(date(2026, 10, 23), date(2026, 11, 21)))
    '23 Oct – 21 Nov 2026'
    """
    if days.first == days.last:
        return f"{_day(days.last)} {days.last.year}"
    first = _day(days.first) if days.first.year == days.last.year else f"{_day(days.first)} {days.first.year}"
    return f"{first} – {_day(days.last)} {days.last.year}"


def _day(value: date) -> str:
    return f"{value.day} {value:%b}"


def _short(value: Decimal, decimals: int) -> str:
    """Whole below ten thousand, then three digits and a letter."""
    if abs(value) < 10_000 - Decimal(10) ** -decimals / 2:
        return f"{value:,.{decimals}f}"
    for scale, letter in _SCALES:
        if abs(value) >= scale * Decimal("0.9995"):
            return f"{_three_digits(value / scale)}{letter}"
    raise AssertionError(value)


def _three_digits(value: Decimal) -> str:
    decimals = 2 if abs(value) < Decimal("9.995") else 1 if abs(value) < Decimal("99.95") else 0
    return f"{value:,.{decimals}f}"


def _money(value: Decimal) -> str:
    """Never $0.00 for what is not nothing."""
    if value == 0:
        return "$0"
    if abs(value) < Decimal("0.01"):
        return f"${_plain_digits(value)}"
    return f"${_short(value, 2 if abs(value) < 1000 else 0)}"


def _plain_digits(value: Decimal) -> str:
    """Two digits that count, never with an exponent."""
    return format(Decimal(f"{value:.1e}"), "f")


def _dollars(value: Decimal) -> str:
    whole, _, fraction = f"{value:,f}".partition(".")
    return f"${whole}.{fraction.rstrip('0').ljust(2, '0')}"


def _percent(share: float) -> str:
    """Never 100 % or 0 % for what is not all or nothing."""
    text = f"{100 * share:.1f}%"
    if text == "100.0%":
        return "100%" if share == 1 else ">99.9%"
    if text == "0.0%":
        return "0%" if share == 0 else "<0.1%"
    return text


def _duration(seconds: float) -> str:
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for unit, letter, part, part_letter in _UNITS:
        if whole >= unit:
            return f"{whole // unit}{letter} {whole % unit // part}{part_letter}"
    return f"{whole}s"
