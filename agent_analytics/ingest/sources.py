"""Where records come from, and how each kind of text or value becomes what the contract reads."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from agent_analytics.ingest.records import (
    EXACT_JSON,
    FIELDS,
    LARGEST_ATTRIBUTES,
    TIMES,
    Rejected,
    Sent,
    exact_number,
)
from agent_analytics.tables import STATUSES

BATCH = 250
LONGEST_RECORD = 512 * 1024
_NO_FIELD = re.compile(r"Object (missing required|contains unknown) field `(.*)`", re.DOTALL)
_AT = re.compile(r"(.*) - at `\$\.(\w+).*`", re.DOTALL)

_record = msgspec.json.Decoder(Sent, float_hook=exact_number)
_object = msgspec.json.Decoder(dict[str, Any], float_hook=exact_number)


class Batch(NamedTuple):
    """Some records, each with its line, and how far reading them took us (in the unit of the source's size)."""

    records: Sequence[tuple[int, Any]]
    read: int


@dataclass(frozen=True)
class Source:
    """A file or another origin of records.

    `decode` makes one what the contract reads, or raises Rejected; `show` makes it JSON for a report.
    `size` is how much there is to read, in bytes of a file or else in records; None where nobody knows.
    """

    name: str
    batches: Iterable[Batch]
    decode: Callable[[Any], Sent]
    show: Callable[[Any], Any]
    size: int | None = None


def from_dicts(name: str, records: Iterable[Mapping[str, Any]], size: int | None = None) -> Source:
    """Records as Python values: the contract's names; times may be aware datetimes, money Decimals."""
    return Source(name, _batches(enumerate(records, 1)), from_values, dict, size)


def _batches(numbered: Iterator[tuple[int, Any]]) -> Iterator[Batch]:
    while records := list(islice(numbered, BATCH)):
        yield Batch(records, len(records))


def from_json(text: str) -> Sent:
    """A record from one line of JSON Lines."""
    if len(text) > LONGEST_RECORD:
        raise Rejected(None, f"is longer than {LONGEST_RECORD} characters")
    return _sent(_record.decode, text)


def from_texts(texts: dict[str, Any]) -> Sent:
    """A record from the cells of a CSV file by field, empty ones left out."""
    if "attributes" in texts:
        texts["attributes"] = _attributes(texts["attributes"])
    return _converted(texts, strict=False)


def from_row(values: dict[str, Any]) -> Sent:
    """A record from a Parquet file's values by field; `attributes` may be JSON text, a struct or a map."""
    attributes = values.get("attributes")
    if isinstance(attributes, str):
        values["attributes"] = _attributes(attributes) if attributes else None
    elif isinstance(attributes, dict | list):
        values["attributes"] = _plain_json(_dict(attributes))
    return _converted(values, strict=False)


def _dict(pairs: Any) -> dict[str, Any]:
    try:
        return dict(pairs)
    except (TypeError, ValueError):
        raise Rejected("attributes", "is not an object") from None


def from_values(values: Mapping[str, Any]) -> Sent:
    """A record from Python values."""
    plain = dict(values)
    for field in TIMES:
        if isinstance(value := plain.get(field), datetime):
            plain[field] = value.isoformat()
    if isinstance(attributes := plain.get("attributes"), Mapping):
        plain["attributes"] = _plain_json(attributes)
    return _converted(plain, strict=True)


def _converted(values: dict[str, Any], strict: bool) -> Sent:
    try:
        return msgspec.convert(values, Sent, strict=strict)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _explained(error, None) from None


def _plain_json(values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        encoded = EXACT_JSON.encode(values)
    except (TypeError, ValueError, RecursionError) as error:
        raise Rejected("attributes", f"cannot be written as JSON: {error}") from None
    return _sent(_object.decode, encoded, "attributes")


def _attributes(text: str) -> dict[str, Any]:
    if len(text) > LARGEST_ATTRIBUTES:
        raise Rejected("attributes", f"is larger than {LARGEST_ATTRIBUTES} bytes")
    return _sent(_object.decode, text, "attributes")


def _sent(decode: Callable[[Any], Any], value: Any, field: str | None = None) -> Any:
    """What `decode` makes of `value`; its errors, with their field, as Rejected."""
    try:
        return decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _explained(error, field) from None


def _explained(error: Exception, field: str | None) -> Rejected:
    if isinstance(error, msgspec.ValidationError):
        return _rejected(str(error), field)
    if isinstance(error, RecursionError):
        return Rejected(field, "is nested too deeply")
    return Rejected(field, f"is not valid JSON: {error}")


def _rejected(message: str, field: str | None) -> Rejected:
    if match := _NO_FIELD.fullmatch(message):
        return Rejected(match[2], "is missing") if match[1] == "missing required" else _unknown_field(match[2])
    if match := _AT.fullmatch(message):
        field, message = field or match[2], match[1]
    if field == "status":
        message += f"; use one of {', '.join(STATUSES)}"
    return Rejected(field, message[:1].lower() + message[1:].replace("`", ""))


def _unknown_field(name: str) -> Rejected:
    near = get_close_matches(name, FIELDS, 1)
    return Rejected(name[:200], "is not a field of the contract" + (f"; did you mean {near[0]!r}?" if near else ""))
