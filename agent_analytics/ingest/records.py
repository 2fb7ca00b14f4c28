"""The run record's contract: what a source may send, and what of it is kept.

`Sent` holds the types and lengths; `checked` holds what fields must be to each other. Whatever breaks a rule
is `Rejected` with the field and the reason; nothing is guessed.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from operator import attrgetter
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from agent_analytics.ingest.prices import PriceTable
from agent_analytics.period import FIRST_YEAR, LAST_YEAR
from agent_analytics.scope import ORGANIZATION
from agent_analytics.tables import STATUSES

LONGEST_NAME = 200
LONGEST_MESSAGE = 10_000
LARGEST_ATTRIBUTES = 64 * 1024
LARGEST_EXPONENT = 300
MOST_MONEY = 10**9
NANO = Decimal("1E-9")

Key = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
Name = Annotated[str, Meta(max_length=LONGEST_NAME)]
Count = Annotated[int, Meta(ge=0, le=10**12)]
Retries = Annotated[int, Meta(ge=0, le=10**9)]
Status = Literal[STATUSES]  # type: ignore[valid-type]


class Rejected(Exception):
    """A record breaks the contract: in which field (None: as a whole), and how."""

    def __init__(self, field: str | None, reason: str) -> None:
        super().__init__(field, reason)
        self.field, self.reason = field, reason


class Sent(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One run as a source sends it. An empty text counts as null."""

    organization: str | None = None
    run_id: Key
    user: Name | None = None
    team: Name | None = None
    agent_type: Key
    status: Status
    started_at: str
    ended_at: str | None = None
    model: Name | None = None
    model_version: Name | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    input_cost: Decimal | None = None
    output_cost: Decimal | None = None
    cost: Decimal | None = None
    retries: Retries | None = None
    error_category: Name | None = None
    error_message: str | None = None
    attributes: dict[str, Any] | None = None
    updated_at: str | None = None


FIELDS = Sent.__struct_fields__
REQUIRED = ("run_id", "agent_type", "status", "started_at")
TIMES = ("started_at", "ended_at", "updated_at")
COSTS = ("input_cost", "output_cost", "cost")
COLUMNS = (*FIELDS, "cost_source")
Run = tuple[Any, ...]

_NAMES = ("run_id", "user", "team", "agent_type", "model", "model_version", "error_category")
_names = attrgetter(*_NAMES)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_UNWANTED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_USUAL = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:[0-5]\d(?:\.\d{1,6})?(?:[Zz]|[+-](?:0\d|1[0-4]):\d\d)", re.ASCII)
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:)(\d\d)((?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d))", re.ASCII)
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
EXACT_JSON = msgspec.json.Encoder(decimal_format="number")
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)


def checked(sent: Sent, organization: str | None, prices: PriceTable) -> Run:
    """The run as the record keeps it, a value for each of COLUMNS.

    `organization` is used where the record names none. Raises Rejected.
    """
    sent.organization = _organization(sent.organization or organization)
    _check_names(sent)
    started_at = _check_times(sent)
    _check_tokens(sent)
    source = _settle_cost(sent, started_at, prices)
    sent.retries = sent.retries or 0
    sent.error_message = _message(sent.error_message)
    attributes = _attributes(sent.attributes) if sent.attributes else "{}"
    *values, _, updated_at = msgspec.structs.astuple(sent)
    return (*values, attributes, updated_at, source)


def _organization(name: str | None) -> str:
    if not name:
        raise Rejected("organization", "is missing; name it in the record or by --organization")
    if not ORGANIZATION.fullmatch(name):
        raise Rejected("organization", f"{name[:80]!r} is not a slug of lower-case letters, digits and dashes")
    return name


def _check_names(sent: Sent) -> None:
    names = _names(sent)
    if not "".join(filter(None, names)).isprintable():
        for field, name in zip(_NAMES, names, strict=True):
            if name and (found := _CONTROL.search(name)):
                raise Rejected(field, f"holds the control character U+{ord(found[0]):04X}")
    if "" in names:
        for field, name in zip(_NAMES, names, strict=True):
            setattr(sent, field, name or None)


def _message(text: str | None) -> str | None:
    """Without control characters other than tab and newline; cut where it is longer than LONGEST_MESSAGE."""
    if not text:
        return None
    if not text.isprintable():
        text = _UNWANTED.sub("", text.replace("\r\n", "\n"))
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"


def _attributes(values: dict[str, Any]) -> str:
    encoded = EXACT_JSON.encode(values)
    if len(encoded) > LARGEST_ATTRIBUTES:
        raise Rejected("attributes", f"is larger than {LARGEST_ATTRIBUTES} bytes")
    if b"\\u0000" in encoded and _NUL.search(encoded):
        raise Rejected("attributes", "holds the control character U+0000")
    return encoded.decode()


def exact_number(text: str) -> Decimal:
    """A number of `attributes` that is not whole, as it was written; raises ValueError for one out of all range."""
    try:
        number = Decimal(text)
    except ArithmeticError:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > LARGEST_EXPONENT:
        raise ValueError(f"Number out of range: {text[:40]}")
    return number


def _check_times(sent: Sent) -> datetime:
    """Leave times that PostgreSQL reads; gives the start."""
    started_at, sent.started_at = _instant("started_at", sent.started_at)
    if sent.ended_at:
        ended_at, sent.ended_at = _instant("ended_at", sent.ended_at)
        if sent.status == "running":
            raise Rejected("ended_at", "must be null while the run is running")
        if ended_at < started_at:
            raise Rejected("ended_at", "is before started_at")
    if sent.updated_at:
        _, sent.updated_at = _instant("updated_at", sent.updated_at)
    sent.ended_at = sent.ended_at or None
    sent.updated_at = sent.updated_at or sent.ended_at or sent.started_at
    return started_at


def _instant(field: str, text: str) -> tuple[datetime, str]:
    """An RFC 3339 time to the microsecond, and its text for PostgreSQL: as it is, unless it is an unusual one."""
    try:
        if _USUAL.fullmatch(text):
            instant = datetime.fromisoformat(text.upper())
        else:
            instant = _unusual(field, text)
            text = instant.isoformat()
    except (ValueError, OverflowError):
        raise Rejected(field, f"{text[:80]!r} is not a time that exists") from None
    if not FIRST_YEAR <= instant.year <= LAST_YEAR:
        raise Rejected(field, f"{text[:80]!r} lies outside the years {FIRST_YEAR} to {LAST_YEAR}")
    return instant, text


def _unusual(field: str, text: str) -> datetime:
    """One with finer digits, which are cut off, a far offset, or a leap second, which starts the next minute."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise Rejected(field, f"{text[:80]!r} is not a time with an offset like 2026-03-01T14:00:00Z")
    leap = match[2] == "60"
    instant = datetime.fromisoformat(f"{match[1]}{'59' if leap else match[2]}{match[3]}".upper()).astimezone(UTC)
    if leap:
        instant += timedelta(seconds=1)
        if (instant.hour, instant.minute, instant.second) != (0, 0, 0):
            raise ValueError(text)
    return instant


def _check_tokens(sent: Sent) -> None:
    cached = (sent.cache_read_tokens or 0) + (sent.cache_write_tokens or 0)
    if cached and sent.input_tokens is not None and cached > sent.input_tokens:
        field = "cache_read_tokens" if sent.cache_read_tokens else "cache_write_tokens"
        raise Rejected(
            field, f"and cache_write_tokens add up to {cached}, more than input_tokens: they are parts of it"
        )
    reasoning = sent.reasoning_tokens or 0
    if reasoning and sent.output_tokens is not None and reasoning > sent.output_tokens:
        raise Rejected("reasoning_tokens", "is more than output_tokens, of which it is a part")


def _settle_cost(sent: Sent, started_at: datetime, prices: PriceTable) -> str | None:
    """Round what was sent, or price what was not; gives where the figures come from, None for nowhere."""
    sent_costs = sent.input_cost, sent.output_cost, sent.cost
    if sent_costs != (None, None, None):
        sent.input_cost, sent.output_cost, sent.cost = _settled(*map(_money, COSTS, sent_costs))
        return "reported"
    priced = prices.cost(
        sent.model,
        started_at,
        sent.input_tokens,
        sent.output_tokens,
        sent.cache_read_tokens or 0,
        sent.cache_write_tokens or 0,
        sent.reasoning_tokens or 0,
    )
    if priced is None:
        return None
    sent.input_cost, sent.output_cost, sent.cost = _settled(*priced, None)
    return "computed"


def _money(field: str, value: Decimal | None) -> Decimal | None:
    if value is not None and not (value.is_finite() and 0 <= value <= MOST_MONEY):
        raise Rejected(field, f"{str(value)[:40]} is not from 0 to {MOST_MONEY} US dollars")
    return value


def _settled(
    input_cost: Decimal | None, output_cost: Decimal | None, cost: Decimal | None
) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    """Costs in whole nano-dollars. Where both parts are given, their sum is the cost, so that all adds up."""
    both = input_cost is not None and output_cost is not None
    parts = (input_cost or 0) + (output_cost or 0)
    if cost is not None and (parts - cost > NANO or (both and cost - parts > NANO)):
        raise Rejected("cost", f"{cost} is not the sum of input_cost and output_cost, {parts}")
    input_cost, output_cost = _rounded(input_cost), _rounded(output_cost)
    if input_cost is not None and output_cost is not None:
        return input_cost, output_cost, input_cost + output_cost
    return input_cost, output_cost, _rounded(cost)


def _rounded(value: Decimal | None) -> Decimal | None:
    return None if value is None else _EXACT.quantize(value, NANO)
