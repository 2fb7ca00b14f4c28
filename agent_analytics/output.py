"""An answer as text: a table to read, CSV, or JSON."""

import csv
import io
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from agent_analytics.answer import Answer, encode
from agent_analytics.catalog import DIMENSIONS, MEASURES

UNATTRIBUTED = "Unattributed"
UNKNOWN = "—"


def as_json(answer: Answer) -> str:
    """One array of objects; money with all its digits, null for the unknown and the unattributed."""
    lines = ",\n".join(encode(record).decode() for record in answer.records())
    return f"[{lines}]\n"


def as_csv(answer: Answer) -> str:
    """RFC 4180 with a header; an unknown cell is empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(answer.columns)
    writer.writerows([_plain(value) for value in row] for row in answer.rows)
    return text.getvalue()


def as_table(answer: Answer) -> str:
    """Aligned columns under their labels, then whose figures these are."""
    head = [_label(name) for name in answer.columns]
    cells = [[_shown(name, value) for name, value in record.items()] for record in answer.records()]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    left = len(answer.query.by)
    rule = "  ".join("─" * width for width in widths)
    lines = [_aligned(head, widths, left), rule, *(_aligned(row, widths, left) for row in cells)]
    about = f"{answer.days.first} to {answer.days.last}, {answer.zone}. {answer.reason}"
    return "\n".join([*lines, "", about, ""])


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
        return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in value)
    if isinstance(value, int):
        return f"{value:,}"
    return _plain(value)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.isoformat(timespec="minutes")
    return value.isoformat() if isinstance(value, date) else str(value)


FORMATS: dict[str, Callable[[Answer], str]] = {"table": as_table, "csv": as_csv, "json": as_json}
