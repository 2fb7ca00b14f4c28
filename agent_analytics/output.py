"""An answer as text: a table to read, CSV, or JSON."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from agent_analytics.answer import Answer, encode
from agent_analytics.catalog import DIMENSIONS, MEASURES
from agent_analytics.compile import Row
from agent_analytics.period import time_zone

UNATTRIBUTED = "Unattributed"
UNKNOWN = "—"
# A spreadsheet runs a cell that starts so (OWASP, "CSV Injection"), unless it is a plain number.
RISKY = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
NUMBER = r"^[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?$"
_number = re.compile(NUMBER.removesuffix("$"))


def harmless(text: str) -> str:
    """The text as a spreadsheet shows it without running it: behind an apostrophe where it could be a formula.

    >>> [harmless(cell) for cell in ("=1+1", "-5", "-5+cmd", "Search")]
    ["'=1+1", '-5', "'-5+cmd", 'Search']
    """
    return f"'{text}" if text.startswith(RISKY) and not _number.fullmatch(text) else text


def as_json(answer: Answer) -> str:
    """One array of objects; money with all its digits, null for the unknown and the unattributed."""
    rows = (dict(zip(answer.columns, row, strict=True)) for row in _rows(answer))
    lines = ",\n".join(encode(row).decode() for row in rows)
    return f"[{lines}]\n"


def as_csv(answer: Answer) -> str:
    """RFC 4180 with a header; an unknown cell is empty, and one that a spreadsheet would run made harmless."""
    return csv_of([answer.columns, *_rows(answer)])


def csv_of(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as RFC 4180, each cell as `cell` has it."""
    text = io.StringIO()
    csv.writer(text).writerows([cell(value) for value in row] for row in rows)
    return text.getvalue()


def as_table(answer: Answer) -> str:
    """Aligned columns under their labels, then whose figures these are."""
    head = [_label(name) for name in answer.columns]
    cells = [[_shown(name, value) for name, value in zip(answer.columns, row, strict=True)] for row in _rows(answer)]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    left = len(answer.query.by)
    rule = "  ".join("─" * width for width in widths)
    lines = [_aligned(head, widths, left), rule, *(_aligned(row, widths, left) for row in cells)]
    return "\n".join([*lines, "", _about(answer), ""])


def _rows(answer: Answer) -> tuple[Row, ...]:
    """The rows, and what is beyond the limit as one more."""
    if answer.other is None:
        return answer.rows
    blank = ("",) * (len(answer.query.by) - 1)
    return (*answer.rows, (f"Other ({answer.others})", *blank, *answer.other))


def _about(answer: Answer) -> str:
    """Which days, whose, and in what way they are not those asked for."""
    zone = answer.zone
    until = answer.until and f" up to {_plain(answer.until.astimezone(time_zone(zone)).replace(tzinfo=None))}"
    notice = answer.notice and f" {answer.notice}"
    return f"{answer.days.first} to {answer.days.last}{until or ''}, {zone}.{notice or ''} {answer.reason}"


def _aligned(cells: list[str], widths: list[int], left: int) -> str:
    pairs = zip(cells, widths, strict=True)
    return "  ".join(
        cell.ljust(width) if position < left else cell.rjust(width) for position, (cell, width) in enumerate(pairs)
    ).rstrip()


def _label(column: str) -> str:
    return MEASURES[column].label if column in MEASURES else DIMENSIONS[column].label


def _shown(column: str, value: Any) -> str:
    if value is None:
        return UNKNOWN if column in MEASURES else UNATTRIBUTED
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, int):
        return f"{value:,}"
    return _plain(value)


def printable(text: str) -> str:
    """The text without what a terminal would heed."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def cell(value: Any) -> str:
    """A value as CSV has it: the unknown empty, and text that a spreadsheet would run made harmless."""
    return harmless(value) if isinstance(value, str) else _plain(value)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dict):
        return encode(value).decode()
    if isinstance(value, datetime) and value.tzinfo:
        return value.isoformat()
    if isinstance(value, datetime):
        return value.isoformat(timespec="minutes")
    return value.isoformat() if isinstance(value, date) else str(value)


FORMATS: dict[str, Callable[[Answer], str]] = {"table": as_table, "csv": as_csv, "json": as_json}
