"""What was asked, and the figures that were found, as a frame, as objects and as JSON that loses no digit."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from agent_analytics.catalog import DIMENSIONS, MEASURES
from agent_analytics.compile import Row
from agent_analytics.period import Days
from agent_analytics.query import Query

if TYPE_CHECKING:
    import pandas

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(float_hook=Decimal)


@dataclass(frozen=True)
class Answer:
    """The figures, and what they are figures of.

    `rows` hold the query's dimensions, then its measures: names as text (None is *Unattributed*), days as
    `date`, hours as naive local `datetime`, counts as `int`, money (USD) as `Decimal`, shares and seconds
    as `float`; None is unknown. `other` are the measures of the `others` groups beyond the limit, added up.
    A part of a day is counted up to the instant `until`; `notice` says in what way the days are not those asked for.
    """

    query: Query
    days: Days
    zone: str
    reason: str
    as_of: datetime
    engine: str
    rows: tuple[Row, ...]
    other: Row | None = None
    others: int = 0
    until: datetime | None = None
    notice: str | None = None

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
            "other": self.other,
            "others": self.others,
            "until": self.until,
            "notice": self.notice,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Answer":
        """From `decode`d JSON, every value of its own type again."""
        readers = [_READERS[column["kind"]] for column in data["columns"]]
        other, until = data["other"], data["until"]
        return cls(
            (query := Query.from_json(data["query"])),
            Days(date.fromisoformat(data["from"]), date.fromisoformat(data["to"])),
            data["timezone"],
            data["reason"],
            datetime.fromisoformat(data["as_of"]),
            data["engine"],
            tuple(_read(readers, row) for row in data["rows"]),
            None if other is None else _read(readers[len(query.by) :], other),
            data["others"],
            until and datetime.fromisoformat(until),
            data["notice"],
        )


def encode(data: Any) -> bytes:
    """JSON in which money keeps its digits."""
    return _encoder.encode(data)


def decode(text: bytes) -> Any:
    """JSON whose fractions stay exact, as `Decimal`."""
    return _decoder.decode(text)


def _kind(column: str) -> str:
    if column in MEASURES:
        return MEASURES[column].kind
    return "hour" if column == "hour" else "day" if DIMENSIONS[column].kind == "time" else "name"


def _read(readers: list[Any], row: list[Any]) -> Row:
    return tuple(None if value is None else read(value) for read, value in zip(readers, row, strict=True))


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
