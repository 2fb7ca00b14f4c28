"""Calendar days in an organization's own zone."""

from datetime import UTC, date, datetime

import pytest

from agent_analytics.errors import PeriodError
from agent_analytics.period import Days, Last, local_day, parse_day, parse_last, resolve, time_zone


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


def test_the_last_days_include_today() -> None:
    assert resolve(Last(1), date(2026, 3, 1)) == Days(date(2026, 3, 1), date(2026, 3, 1))
    assert len(resolve(Last(366), date(2026, 3, 1))) == 366


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
