"""Calendar days in an organization's own time zone. Nothing here reads a clock: `now` is a parameter."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agent_analytics.errors import PeriodError

MOST_DAYS = 366
FIRST_YEAR, LAST_YEAR = 1970, 2999


@dataclass(frozen=True)
class Days:
    """The calendar days from `first` to `last`, both included."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise PeriodError(f"The range ends on {self.last}, before it starts on {self.first}. Swap the two dates.")
        if not FIRST_YEAR <= self.first.year <= self.last.year <= LAST_YEAR:
            raise PeriodError(f"The range must lie in the years {FIRST_YEAR} to {LAST_YEAR}.")
        if len(self) > MOST_DAYS:
            raise PeriodError(f"{self.first} to {self.last} is {len(self)} days; at most {MOST_DAYS} can be asked for.")

    def __len__(self) -> int:
        return (self.last - self.first).days + 1


@dataclass(frozen=True)
class Last:
    """Today and the `days - 1` days before it, whenever it is asked."""

    days: int

    def __post_init__(self) -> None:
        if not 1 <= self.days <= MOST_DAYS:
            raise PeriodError(f"The last {self.days} days cannot be asked for; use 1 to {MOST_DAYS}.")


Period = Days | Last


@dataclass(frozen=True)
class Span:
    """The days that are counted. Of a running period's predecessor only what lies before the instant `until` is.

    `notice` says in what way this is not what was asked for, None where it is.
    """

    days: Days
    until: datetime | None = None
    notice: str | None = None


def resolve(period: Period, now: datetime, zone: str) -> Span:
    """The days that a period covers, seen at the instant `now` in `zone`; none that are still to come.

    >>> from datetime import UTC
    >>> resolve(Last(7), datetime(2026, 3, 1, 12, tzinfo=UTC), "UTC").days
    Days(first=datetime.date(2026, 2, 23), last=datetime.date(2026, 3, 1))
    """
    today = local_day(now, zone)
    days = _days(period, today)
    if days.first > today:
        return Span(days, notice=f"{days.first} to {days.last} is still to come.")
    if days.last > today:
        return Span(
            Days(days.first, today), notice=f"Counted up to {today}: the days to {days.last} are still to come."
        )
    return Span(days)


def resolve_before(period: Period, now: datetime, zone: str) -> Span:
    """The days before a period, as many as it has; of one that is running, the same part: up to this time of day.

    >>> from datetime import UTC
    >>> resolve_before(Last(7), datetime(2026, 3, 1, 12, tzinfo=UTC), "UTC").days
    Days(first=datetime.date(2026, 2, 16), last=datetime.date(2026, 2, 22))
    """
    days, local = _days(period, local_day(now, zone)), now.astimezone(time_zone(zone))
    earlier = timedelta(days=-len(days))
    if days.last < local.date():
        return Span(Days(days.first + earlier, days.last + earlier))
    part = max(local, datetime.combine(days.first, time(), local.tzinfo)) + earlier
    return Span(Days(days.first + earlier, part.date()), part.astimezone(UTC))


def _days(period: Period, today: date) -> Days:
    return Days(today - timedelta(days=period.days - 1), today) if isinstance(period, Last) else period


def parse_last(text: str) -> Last:
    """`30d` as the last thirty days.

    >>> parse_last("30d")
    Last(days=30)
    """
    match = re.fullmatch(r"([1-9]\d{0,3})d", text)
    if match is None:
        raise PeriodError(f"{text!r} is not a number of days. Write it like 30d.")
    return Last(int(match[1]))


def parse_day(text: str) -> date:
    """A date as `YYYY-MM-DD`."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise PeriodError(f"{text!r} is not a date. Write it like 2026-03-01.")


def local_day(now: datetime, zone: str) -> date:
    """The calendar day of the instant `now` in `zone`.

    >>> from datetime import UTC
    >>> local_day(datetime(2026, 3, 1, 23, tzinfo=UTC), "Asia/Kathmandu")
    datetime.date(2026, 3, 2)
    """
    return now.astimezone(time_zone(zone)).date()


def start_of(unit: str, moment: datetime) -> date | datetime:
    """When the hour, day, week (ISO) or month began that the local `moment` lies in.

    >>> start_of("week", datetime(2026, 3, 1, 14, 30))
    datetime.date(2026, 2, 23)
    """
    match unit:
        case "hour":
            return moment.replace(minute=0, second=0, microsecond=0)
        case "week":
            return moment.date() - timedelta(days=moment.weekday())
        case "month":
            return moment.date().replace(day=1)
    return moment.date()


def time_zone(name: str) -> ZoneInfo:
    """The IANA time zone of that name; raises PeriodError for any other name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise PeriodError(f"{name!r} is not an IANA time zone. Use a name like Europe/Berlin or UTC.") from None
