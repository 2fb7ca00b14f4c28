"""What is asked: plain data that fits in JSON, a link and a cache key. It carries no rights."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agent_analytics.catalog import DIMENSIONS, MEASURES
from agent_analytics.errors import QueryError, unknown
from agent_analytics.period import Days, Last, Period, parse_day, parse_last

MOST_ROWS = 100_000
MOST_WITH_OTHER = 1000
MOST_VALUES = 1000
THIRTY_DAYS = Last(30)
Filters = tuple[tuple[str, tuple[str | None, ...]], ...]


@dataclass(frozen=True)
class Query:
    """Measures over a period, split `by` dimensions, where each filtered dimension has one of its values.

    A filter value of None means runs without one (*Unattributed*). `order` names a measure (greatest first)
    or a dimension of `by` (smallest first). With `other`, what is beyond the limit comes added up too.
    `before` asks the same of the period before, of equal length; of a running period, the same part of it.
    Raises QueryError for anything that the catalog does not know.
    """

    measures: tuple[str, ...]
    by: tuple[str, ...] = ()
    where: Filters = ()
    period: Period = THIRTY_DAYS
    order: str | None = None
    limit: int | None = None
    other: bool = False
    before: bool = False

    def __init__(
        self,
        measures: Iterable[str],
        by: Iterable[str] = (),
        where: Mapping[str, Iterable[str | None]] | Filters = (),
        period: Period = THIRTY_DAYS,
        order: str | None = None,
        limit: int | None = None,
        other: bool = False,
        before: bool = False,
    ) -> None:
        filters = where.items() if isinstance(where, Mapping) else where
        values = {
            "measures": _names(measures),
            "by": _names(by),
            "where": tuple(sorted((name, tuple(chosen)) for name, chosen in filters)),
            "period": period,
            "order": order,
            "limit": limit,
            "other": other,
            "before": before,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        if not self.measures:
            raise QueryError(f"Ask for at least one measure. Known: {', '.join(MEASURES)}.")
        _check_known("measure", self.measures, MEASURES)
        _check_known("dimension", self.by, DIMENSIONS)
        _check_known("filter", [name for name, _ in self.where], DIMENSIONS)
        for name, chosen in self.where:
            if len(chosen) > MOST_VALUES:
                raise QueryError(f"{name} is filtered by {len(chosen):,} values; use at most {MOST_VALUES:,}.")
        if self.order is not None:
            _check_known("order", [self.order], [*self.measures, *self.by])
        most = MOST_WITH_OTHER if self.other else MOST_ROWS
        if self.limit is not None and not 1 <= self.limit <= most:
            raise QueryError(f"The limit is {self.limit}; use 1 to {most}{' with other' * self.other}.")
        if self.other and (self.limit is None or not self.by):
            raise QueryError("other adds up what is beyond a limit; give a limit, and a dimension to split by.")

    def to_json(self) -> dict[str, Any]:
        """As JSON, defaults left out; `from_json` is its inverse."""
        parts = {
            "measures": list(self.measures),
            "by": list(self.by),
            "where": {name: list(chosen) for name, chosen in self.where},
            "order": self.order,
            "limit": self.limit,
            "other": self.other,
            "before": self.before,
        }
        return {name: part for name, part in parts.items() if part} | period_to_json(self.period)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Query":
        """A query from hostile JSON; raises QueryError that names the field."""
        known = ("measures", "by", "where", "last", "from", "to", "order", "limit", "other", "before")
        _check_known("field", data, known)
        limit = data.get("limit")
        if limit is not None and type(limit) is not int:
            raise QueryError("limit must be a whole number.")
        return cls(
            _texts(data, "measures"),
            _texts(data, "by"),
            _filters(data.get("where", {})),
            period_from_json(data),
            _text(data, "order"),
            limit,
            _flag(data, "other"),
            _flag(data, "before"),
        )


def period_to_json(period: Period) -> dict[str, str]:
    if isinstance(period, Last):
        return {"last": f"{period.days}d"}
    return {"from": period.first.isoformat(), "to": period.last.isoformat()}


def period_from_json(data: Mapping[str, Any]) -> Period:
    """`{"last": "30d"}` or `{"from": "2026-01-01", "to": "2026-01-31"}`; thirty days where neither is given."""
    last, first, end = (_text(data, name) for name in ("last", "from", "to"))
    if last is not None and (first is not None or end is not None):
        raise QueryError("Give either last, or from and to, not both.")
    if first is None and end is None:
        return parse_last(last or "30d")
    if first is None or end is None:
        raise QueryError("Give both from and to.")
    return Days(parse_day(first), parse_day(end))


def _names(names: Iterable[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise QueryError(f"Write [{names!r}], a list of names, in place of {names!r}.")
    return tuple(dict.fromkeys(names))


def _check_known(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            raise QueryError(unknown(kind, str(name), known))


def _text(data: Mapping[str, Any], field: str) -> str | None:
    value = data.get(field)
    if value is not None and not isinstance(value, str):
        raise QueryError(f"{field} must be a text.")
    return value


def _flag(data: Mapping[str, Any], field: str) -> bool:
    value = data.get(field, False)
    if not isinstance(value, bool):
        raise QueryError(f"{field} must be true or false.")
    return value


def _texts(data: Mapping[str, Any], field: str) -> list[str]:
    value = data.get(field, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise QueryError(f"{field} must be a list of names.")
    return value


def _filters(value: Any) -> dict[str, list[str | None]]:
    if not isinstance(value, dict):
        raise QueryError("where must be an object of dimensions, each with a list of values.")
    for name, chosen in value.items():
        if not isinstance(chosen, list) or not all(item is None or isinstance(item, str) for item in chosen):
            raise QueryError(f"where.{name} must be a list of texts or nulls.")
    return value
