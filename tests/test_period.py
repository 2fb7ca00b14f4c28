"""Calendar days in an organization's own zone."""

from datetime import UTC, date, datetime, timedelta

import pytest

from agent_analytics.errors import PeriodError
from agent_analytics.period import (
    Days,
    Last,
    Span,
    local_day,
    parse_day,
    parse_last,
    resolve,
    resolve_before,
    time_zone,
)


@pytest.mark.parametrize(
    ("instant", "zone", "day"),
    [
        (datetime(2026, 3, 1, 23, 30, tzinfo=UTC), "Europe/Berlin", date(2026, 3, 2)),
        (datetime(2026, 3, 1, 18, 14, 59, tzinfo=UTC), "Asia/Kathmandu", date(2026, 3, 1)),
        (datetime(2026, 3, 1, 18, 15, tzinfo=UTC), "Asia/Kathmandu", date(2026, 3, 2)),
        (datetime(2026, 3, 1, 10, 59, tzinfo=UTC), "Pacific/Pago_Pago", date(2026, 2, 28)),
    ],
)
def test_a_day_is_the_organizations_own(instant: datetime, zone: str, day: date) -> None:
    assert local_day(instant, zone) == day


def march(first: int, last: int) -> Days:
    return Days(date(2026, 3, first), date(2026, 3, last))


# In Kathmandu it is the second already, a quarter to midnight in London.
NOW = datetime(2026, 3, 1, 23, 45, tzinfo=UTC)


def test_the_last_days_include_today() -> None:
    assert resolve(Last(1), NOW, "UTC") == Span(march(1, 1))
    assert resolve(Last(1), NOW, "Asia/Kathmandu") == Span(march(2, 2))
    assert len(resolve(Last(366), NOW, "UTC").days) == 366


def test_days_that_are_still_to_come_are_left_out_and_named() -> None:
    assert resolve(march(1, 2), NOW, "Asia/Kathmandu") == Span(march(1, 2))
    cut = resolve(march(1, 9), NOW, "Asia/Kathmandu")
    assert cut == Span(march(1, 2), notice="Counted up to 2026-03-02: the days to 2026-03-09 are still to come.")
    assert resolve(march(3, 9), NOW, "UTC").notice == "2026-03-03 to 2026-03-09 is still to come."


def test_before_a_closed_period_are_as_many_whole_days() -> None:
    assert resolve_before(march(1, 1), NOW, "Asia/Kathmandu") == Span(Days(date(2026, 2, 28), date(2026, 2, 28)))
    year = resolve_before(Days(date(2024, 1, 1), date(2024, 12, 31)), NOW, "UTC").days
    assert year == Days(date(2022, 12, 31), date(2023, 12, 31))


def test_before_a_running_period_is_the_same_part_of_it() -> None:
    february = Days(date(2026, 2, 22), date(2026, 2, 28))
    assert resolve_before(Last(7), NOW + timedelta(days=6), "UTC") == Span(february, NOW - timedelta(days=1))
    # Of a month that has run for a day, one day: not the rest of the month before.
    month = resolve_before(march(1, 31), NOW, "UTC")
    assert month == Span(Days(date(2026, 1, 29), date(2026, 1, 29)), datetime(2026, 1, 29, 23, 45, tzinfo=UTC))


def test_before_a_period_that_is_to_come_nothing_is_counted() -> None:
    assert resolve_before(march(5, 6), NOW, "UTC").until == datetime(2026, 3, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "zone", "until"),
    [
        ("2026-03-30T00:30Z", "Europe/Berlin", "2026-03-29T01:30Z"),
        ("2026-10-26T01:30Z", "Europe/Berlin", "2026-10-25T00:30Z"),
        ("2026-10-25T01:30Z", "Europe/Berlin", "2026-10-24T00:30Z"),
        ("2026-10-04T15:45Z", "Australia/Lord_Howe", "2026-10-03T15:45Z"),
        ("2011-12-31T00:00Z", "Pacific/Apia", "2011-12-31T00:00Z"),
    ],
)
def test_the_same_part_of_a_day_is_up_to_the_same_time_on_the_clock(now: str, zone: str, until: str) -> None:
    """An hour that comes twice is cut in its first; a time that the clocks skipped is as long after midnight."""
    assert resolve_before(Last(1), datetime.fromisoformat(now), zone).until == datetime.fromisoformat(until)


@pytest.mark.parametrize("text", ["30", "d", "-3d", "0d", "367d", "30 d", "٣d"])
def test_a_range_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(PeriodError):
        parse_last(text)


@pytest.mark.parametrize("text", ["2026-02-30", "2026-2-3", "20260203", "yesterday", "2026-W05-1", ""])
def test_a_date_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(PeriodError, match="Write it like"):
        parse_day(text)


def test_a_range_says_what_is_wrong_with_it() -> None:
    with pytest.raises(PeriodError, match="Swap the two dates"):
        Days(date(2026, 3, 2), date(2026, 3, 1))
    with pytest.raises(PeriodError, match="is 367 days; at most 366"):
        Days(date(2025, 1, 1), date(2026, 1, 2))
    with pytest.raises(PeriodError, match="years 1970 to 2999"):
        Days(date(1, 1, 1), date(1, 1, 1))


@pytest.mark.parametrize("name", ["Mars/Olympus", "../../etc/passwd", "", "Europe", "a" * 300, "\x00"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(PeriodError, match="is not an IANA time zone"):
        time_zone(name)
