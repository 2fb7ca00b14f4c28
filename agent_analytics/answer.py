"""Everything shown is an answer: `answer(query, scope, engine, now)`."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from agent_analytics.catalog import DIMENSIONS, MEASURES, Measure, parts_of
from agent_analytics.compile import Statement, compile
from agent_analytics.period import Days, local_day, resolve
from agent_analytics.query import Query
from agent_analytics.scope import Scope

if TYPE_CHECKING:
    import pandas

Row = tuple[Any, ...]
EVERYWHERE = "UTC"
_NANO = Decimal("1e-9")
_SECOND_DIGITS = 9
_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(float_hook=Decimal)


class Engine(Protocol):
    """Where rows come from: the record or the cache."""

    name: str

    def run(self, statement: Statement, organization: str | None) -> list[Row]: ...

    def zone(self, organization: str) -> str | None: ...

    def as_of(self, now: datetime) -> datetime:
        """The instant up to which what is committed is counted."""
        ...


@dataclass(frozen=True)
class Answer:
    """The figures, and what they are figures of.

    `rows` hold the query's dimensions, then its measures: names as text (None is *Unattributed*), days as
    `date`, hours as naive local `datetime`, counts as `int`, money (USD) as `Decimal`, shares and seconds
    as `float`; None is unknown.
    """

    query: Query
    days: Days
    zone: str
    reason: str
    as_of: datetime
    engine: str
    rows: tuple[Row, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return self.query.by + self.query.measures

    @property
    def frame(self) -> "pandas.DataFrame":
        """The rows as pandas: counts `Int64`, money `Decimal` objects, times `datetime64`."""
        # Half of a command's start-up, for what most commands never ask.
        import pandas

        table = pandas.DataFrame(list(self.rows), columns=list(self.columns), dtype=object)
        return table.astype({name: _FRAME_TYPES[_kind(name)] for name in self.columns})

    def records(self) -> list[dict[str, Any]]:
        """The rows as objects by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def to_json(self) -> dict[str, Any]:
        """As plain data for `encode`; `from_json` is its inverse."""
        return {
            "query": self.query.to_json(),
            "columns": [{"name": name, "kind": _kind(name)} for name in self.columns],
            "rows": self.rows,
            "from": self.days.first,
            "to": self.days.last,
            "timezone": self.zone,
            "reason": self.reason,
            "as_of": self.as_of,
            "engine": self.engine,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Answer":
        """From `decode`d JSON, every value of its own type again."""
        query = Query.from_json(data["query"])
        read = [_READERS[column["kind"]] for column in data["columns"]]
        rows = (tuple(_known(reader, value) for reader, value in zip(read, row, strict=True)) for row in data["rows"])
        days = Days(date.fromisoformat(data["from"]), date.fromisoformat(data["to"]))
        as_of = datetime.fromisoformat(data["as_of"])
        return cls(query, days, data["timezone"], data["reason"], as_of, data["engine"], tuple(rows))


def answer(query: Query, scope: Scope, engine: Engine, now: datetime) -> Answer:
    """What `engine` knows of `query`, within `scope`, seen at the instant `now`."""
    zone = (scope.organization and engine.zone(scope.organization)) or EVERYWHERE
    days = resolve(query.period, local_day(now, zone))
    as_of = engine.as_of(now)
    counted = engine.run(compile(query, scope, days), scope.organization)
    rows = _ordered(query, [_measured(query, row) for row in counted])
    return Answer(query, days, zone, scope.reason, as_of, engine.name, tuple(rows[: query.limit]))


def encode(data: Any) -> bytes:
    """JSON in which money keeps its digits."""
    return _encoder.encode(data)


def decode(text: bytes) -> Any:
    """JSON whose fractions stay exact, as `Decimal`."""
    return _decoder.decode(text)


def _measured(query: Query, row: Row) -> Row:
    split = len(query.by)
    parts = {part.name: value for part, value in zip(parts_of(query.measures), row[split:], strict=True)}
    return row[:split] + tuple(_value(MEASURES[name], parts) for name in query.measures)


def _value(measure: Measure, parts: dict[str, Any]) -> Any:
    """A counted figure as it is; a ratio divided after all adding up."""
    dividend = parts[measure.dividend.name]
    divisor = 1 if measure.divisor is None else parts[measure.divisor.name]
    if dividend is None or not divisor:
        return None
    if measure.divisor is None and measure.scale == 1:
        return dividend
    if measure.kind == "money":
        return (dividend / divisor).quantize(_NANO, ROUND_HALF_EVEN)
    ratio = dividend / (divisor * measure.scale)
    return round(ratio, _SECOND_DIGITS) if measure.unit == "s" else ratio


def _ordered(query: Query, rows: Iterable[Row]) -> list[Row]:
    """By the query's order: a measure's greatest first, a dimension's smallest first, the unknown last.

    Without one: by time where there is a time, else by the first measure; equals by their dimensions.
    """
    timed = any(DIMENSIONS[name].kind == "time" for name in query.by)
    order = query.order or (query.by[0] if timed else query.measures[0])
    position = (query.by + query.measures).index(order)
    split = len(query.by)
    ranked = sorted(rows, key=lambda row: [_last_if_none(value) for value in row[:split]])
    if position < split:
        return sorted(ranked, key=lambda row: _last_if_none(row[position]))
    return sorted(ranked, key=lambda row: (row[position] is None, 0 if row[position] is None else -row[position]))


def _last_if_none(value: Any) -> tuple[bool, Any]:
    return (value is None, "" if value is None else value)


def _kind(column: str) -> str:
    if column in MEASURES:
        return MEASURES[column].kind
    return "hour" if column == "hour" else "day" if DIMENSIONS[column].kind == "time" else "name"


def _known(read: Any, value: Any) -> Any:
    return None if value is None else read(value)


_READERS: dict[str, Any] = {
    "integer": int,
    "money": Decimal,
    "float": float,
    "name": str,
    "day": date.fromisoformat,
    "hour": datetime.fromisoformat,
}
_FRAME_TYPES = {
    "integer": "Int64",
    "money": "object",
    "float": "float64",
    "name": "str",
    "day": "datetime64[s]",
    "hour": "datetime64[s]",
}
