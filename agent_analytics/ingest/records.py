"""The run record: what a source may say of a run, and what it may not."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from agent_analytics.errors import unknown
from agent_analytics.scope import ORGANIZATION

LONGEST_NAME = 200
LONGEST_MESSAGE = 10_000
MOST_ATTRIBUTE_BYTES = 64 * 1024
# So that no sum over an organization can overflow.
MOST_TOKENS = 10**12
MOST_MONEY = 10**9
MOST_RETRIES = 10**6
NANO = Decimal("1e-9")

Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
Instant = Annotated[datetime, Meta(tz=True)]
Tokens = Annotated[int, Meta(ge=0, le=MOST_TOKENS)]
PARTS = (
    ("cache_read_tokens", "input_tokens"),
    ("cache_write_tokens", "input_tokens"),
    ("reasoning_tokens", "output_tokens"),
)


class Run(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One run as its source tells it; `docs/run-record.md` says what each field means."""

    run_id: Name
    agent_type: Name
    status: Literal["running", "succeeded", "failed", "cancelled"]
    started_at: Instant
    organization: Name | None = None
    user: Name | None = None
    team: Name | None = None
    ended_at: Instant | None = None
    model: Name | None = None
    model_version: Name | None = None
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cache_read_tokens: Tokens | None = None
    cache_write_tokens: Tokens | None = None
    reasoning_tokens: Tokens | None = None
    input_cost: Decimal | None = None
    output_cost: Decimal | None = None
    cost: Decimal | None = None
    retries: Annotated[int, Meta(ge=0, le=MOST_RETRIES)] | None = None
    error_category: Name | None = None
    error_message: str | None = None
    attributes: dict[str, Any] | None = None
    updated_at: Instant | None = None


FIELDS = Run.__struct_fields__
NAMES = ("run_id", "agent_type", "organization", "user", "team", "model", "model_version", "error_category")
INSTANTS = ("started_at", "ended_at", "updated_at")
MONEY = ("input_cost", "output_cost", "cost")


class Rejected(Exception):
    """A record that breaks a rule: `field` says which it breaks (None for the whole), `reason` how to mend it."""

    def __init__(self, field: str | None, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


@dataclass(frozen=True)
class Row:
    """A record as its file has it, before it is checked. `line` counts from 1."""

    line: int
    content: Mapping[str, Any] | bytes | Rejected


@dataclass(frozen=True)
class Source:
    """Where records come from, under the name that rejections tell; `loose` where all values are text, as in CSV."""

    name: str
    rows: Iterable[Row]
    loose: bool = False


def from_dicts(name: str, records: Iterable[Mapping[str, Any]]) -> Source:
    """Records that are already objects, in the contract's names and JSON's types."""
    return Source(name, (Row(line, record) for line, record in enumerate(records, 1)))


def checked(row: Row, loose: bool, organization: str | None) -> Run:
    """The run, complete and in range; raises Rejected."""
    run = _decoded(row.content, loose)
    if run.organization is None:
        run.organization = organization
    _check_names(run)
    _check_times(run)
    _check_tokens(run)
    _settle_cost(run)
    _settle_texts(run)
    run.retries = run.retries or 0
    run.updated_at = run.updated_at or run.ended_at or run.started_at
    return run


def _decoded(content: Mapping[str, Any] | bytes | Rejected, loose: bool) -> Run:
    if isinstance(content, Rejected):
        raise content
    try:
        if isinstance(content, bytes):
            return _decoder.decode(content)
        return msgspec.convert(_loosened(content) if loose else content, Run, strict=not loose)
    except msgspec.ValidationError as error:
        raise _rejected(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Rejected(None, f"This is not a JSON object: {error}.") from None


_decoder = msgspec.json.Decoder(Run)


def _loosened(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Text of a CSV file: an empty cell says nothing, and attributes are JSON."""
    given = {name: value for name, value in record.items() if value != ""}
    for name in INSTANTS:
        if isinstance(given.get(name), str) and given[name][4:5] != "-":
            raise Rejected(name, f"{given[name][:40]!r} is not a time. Write it like 2026-03-01T09:00:00Z.")
    if isinstance(given.get("attributes"), str):
        given["attributes"] = _attributes(given["attributes"])
    return given


def _attributes(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise Rejected("attributes", "This is not a JSON object.") from None


def _rejected(message: str) -> Rejected:
    """msgspec's message in our words: which field, and what was expected there."""
    what, _, where = message.partition(" - at `$.")
    if "unknown field `" in what:
        field = what.split("`")[1]
        return Rejected(field[:LONGEST_NAME], unknown("field", field[:LONGEST_NAME], FIELDS))
    if "missing required field `" in what:
        return Rejected(what.split("`")[1], "This field is required.")
    return Rejected(where.rstrip("`").split(".")[0].split("[")[0] or None, f"{what}.")


def _check_names(run: Run) -> None:
    if run.organization is None:
        raise Rejected("organization", "Name it in the record, or for all by --organization.")
    if not ORGANIZATION.fullmatch(run.organization):
        raise Rejected("organization", f"{run.organization!r} is not an organization: use a-z, 0-9 and dashes.")
    for field in NAMES:
        text = getattr(run, field)
        if text is not None and not text.isprintable() and any(map(_is_control, text)):
            raise Rejected(field, "A name holds no control character, line break or half of a surrogate pair.")


def _is_control(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cs")


def _check_times(run: Run) -> None:
    for field in INSTANTS:
        instant = getattr(run, field)
        if instant is not None:
            setattr(run, field, _in_utc(field, instant))
    if run.ended_at is None:
        return
    if run.status == "running":
        raise Rejected("ended_at", "A running run has no end. Leave it out, or send another status.")
    if run.ended_at < run.started_at:
        raise Rejected("ended_at", f"The run ends at {run.ended_at}, before it starts at {run.started_at}.")


def _in_utc(field: str, instant: datetime) -> datetime:
    try:
        instant = instant.astimezone(UTC)
    except OverflowError:
        instant = datetime.min.replace(tzinfo=UTC)
    if not 1970 <= instant.year <= 2999:
        raise Rejected(field, "The time must lie in the years 1970 to 2999.")
    return instant


def _check_tokens(run: Run) -> None:
    for part, whole in PARTS:
        counted, most = getattr(run, part), getattr(run, whole)
        if counted is not None and most is not None and counted > most:
            raise Rejected(part, f"{counted} is more than the {most} of {whole}, of which it is a part.")


def _settle_cost(run: Run) -> None:
    """Round each amount to the nano-dollar, and add up the total where both parts are known."""
    for field in MONEY:
        amount = getattr(run, field)
        if amount is not None:
            setattr(run, field, _money(field, amount))
    if run.input_cost is None or run.output_cost is None:
        return
    total = run.input_cost + run.output_cost
    if run.cost is not None and abs(run.cost - total) > NANO:
        raise Rejected("cost", f"{run.cost} is not the sum of input_cost and output_cost, {total}.")
    if run.cost is None:
        run.cost = total


def _money(field: str, amount: Decimal) -> Decimal:
    if not amount.is_finite() or not 0 <= amount <= MOST_MONEY:
        raise Rejected(field, f"{str(amount)[:40]} is not an amount from 0 to {MOST_MONEY} USD.")
    return amount.quantize(NANO, ROUND_HALF_EVEN)


def _settle_texts(run: Run) -> None:
    """A message is kept up to a length; PostgreSQL takes no NUL and no half of a surrogate pair."""
    if run.error_message:
        text = "".join("\N{REPLACEMENT CHARACTER}" if letter == "\0" else letter for letter in run.error_message)
        text = text.encode("utf-8", "replace").decode()
        run.error_message = text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"
    if run.attributes:
        _check_attributes(msgspec.json.encode(run.attributes))


def _check_attributes(text: bytes) -> None:
    if len(text) > MOST_ATTRIBUTE_BYTES:
        raise Rejected("attributes", f"They take more than {MOST_ATTRIBUTE_BYTES} bytes as JSON.")
    if _NUL.search(text):
        raise Rejected("attributes", "They hold a NUL character, which PostgreSQL does not keep.")


_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def shown(content: Mapping[str, Any] | bytes | Rejected) -> Any:
    """A rejected record for the report: the object, or its text where it is none."""
    if isinstance(content, Rejected):
        return None
    if isinstance(content, bytes):
        try:
            return msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return content.decode("utf-8", "replace")
    return dict(content)
