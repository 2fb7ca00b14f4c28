"""From what was counted to an answer's rows: ratios divided, in order, cut to the limit, without gaps in time."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

from agent_analytics.catalog import DIMENSIONS, MEASURES, Measure, parts_of
from agent_analytics.compile import Key, Row
from agent_analytics.errors import QueryError
from agent_analytics.period import Span, start_of, time_zone
from agent_analytics.query import MOST_ROWS, Query

NANO = Decimal("1e-9")
_SECOND_DIGITS = 9
Parts = dict[str, Any]
Counted = dict[Key, Parts]


def measured(query: Query, parts: Mapping[str, Any]) -> Row:
    """The query's measures from their parts."""
    return tuple(_value(MEASURES[name], parts) for name in query.measures)


def _value(measure: Measure, parts: Mapping[str, Any]) -> Any:
    """A counted figure as it is; a ratio divided after all adding up."""
    dividend = parts[measure.dividend.name]
    divisor = 1 if measure.divisor is None else parts[measure.divisor.name]
    if dividend is None or not divisor:
        return None
    if measure.divisor is None and measure.scale == 1:
        return dividend
    if measure.kind == "money":
        return (dividend / divisor).quantize(NANO, ROUND_HALF_EVEN)
    ratio = dividend / (divisor * measure.scale)
    return round(ratio, _SECOND_DIGITS) if measure.unit == "s" else ratio


def ordered(query: Query, counted: Counted) -> list[Key]:
    """The groups in the query's order: a measure's greatest first, a dimension's smallest first, the unknown last.

    Without one: by time where there is a time, else by the first measure; equals by their dimensions.
    """
    order = query.order or (query.by[0] if is_timed(query) else query.measures[0])
    keys = sorted(counted, key=lambda key: [_last_if_none(value) for value in key])
    if order in query.by:
        position = query.by.index(order)
        return sorted(keys, key=lambda key: _last_if_none(key[position])) if position else keys
    measure = MEASURES[order]
    values = {key: _value(measure, counted[key]) for key in keys}
    return sorted(keys, key=lambda key: (values[key] is None, 0 if values[key] is None else -values[key]))


def _last_if_none(value: Any) -> tuple[bool, Any]:
    return (value is None, "" if value is None else value)


def is_timed(query: Query) -> bool:
    """Whether it is split by a time."""
    return any(DIMENSIONS[name].kind == "time" for name in query.by)


def added_up(query: Query, counted: Iterable[Parts]) -> Parts:
    """The sums over several groups of the parts that add up; of the unknown and the known, of the known."""
    every = list(counted)
    return {
        part.name: _sum(part.empty, [each[part.name] for each in every])
        for part in parts_of(query.measures)
        if part.adds
    }


def _sum(empty: int | None, values: Iterable[Any]) -> Any:
    known = [value for value in values if value is not None]
    return sum(known) if known else empty


def filled(query: Query, counted: Counted, span: Span, zone: str, now: datetime) -> Counted:
    """With every hour, day, week and month up to now, for each combination of the other dimensions that occurs.

    Where nothing ran, counts are 0 and sums are unknown. A query with a limit asks for what there is: not filled.
    Raises QueryError where that would be more than MOST_ROWS.
    """
    times = tuple(name for name in query.by if DIMENSIONS[name].kind == "time")
    if not times or query.limit is not None:
        return counted
    moments = _moments(times, span, zone, _quarter(span.until or now))
    others = _others(query, counted)
    if len(moments) * len(others) > MOST_ROWS:
        raise QueryError(
            f"This would be {len(moments) * len(others):,} rows, one for each {' and '.join(query.by)}; at most "
            f"{MOST_ROWS:,} can be asked for. Set a limit, filter, or take longer times."
        )
    blank = {part.name: part.empty for part in parts_of(query.measures)}
    keys = (_key(query, times, moment, other) for moment, other in product(moments, others))
    return dict.fromkeys(keys, blank) | counted


def unpublished(counted: Counted) -> Counted:
    """Where no line is there is nothing published, which is unknown and not 0."""
    return {key: parts if any(parts.values()) else dict.fromkeys(parts) for key, parts in counted.items()}


def _others(query: Query, counted: Counted) -> list[Key]:
    """Each combination of the dimensions that are no times."""
    positions = [place for place, name in enumerate(query.by) if DIMENSIONS[name].kind != "time"]
    return list(dict.fromkeys(tuple(key[place] for place in positions) for key in counted)) if positions else [()]


def _key(query: Query, times: tuple[str, ...], moment: Key, other: Key) -> Key:
    values, others = dict(zip(times, moment, strict=True)), iter(other)
    return tuple(values[name] if name in values else next(others) for name in query.by)


def _quarter(instant: datetime) -> datetime:
    """The start of its quarter of an hour: every zone's hours start with one."""
    return instant.replace(minute=instant.minute // 15 * 15, second=0, microsecond=0)


@lru_cache(maxsize=256)
def _moments(times: tuple[str, ...], span: Span, zone: str, now: datetime) -> tuple[Key, ...]:
    """Each combination of these times that the span holds, up to the local hour that `now` lies in."""
    local = time_zone(zone)
    end = now.astimezone(local).replace(tzinfo=None)
    step = timedelta(hours=1) if "hour" in times else timedelta(days=1)
    start = datetime.combine(span.days.first, time())
    found = []
    while start.date() <= span.days.last and start <= end:
        if _exists(start, step, local):
            found.append(tuple(start_of(name, start) for name in times))
        start += step
    return tuple(dict.fromkeys(found))


def _exists(start: datetime, step: timedelta, zone: ZoneInfo) -> bool:
    """Whether the clocks there showed any of this hour or day."""
    return any(_shown(moment, zone) for moment in (start, start + step - timedelta(seconds=1)))


def _shown(moment: datetime, zone: ZoneInfo) -> bool:
    return moment.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) == moment
