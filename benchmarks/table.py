"""Markdown tables, and the machine they were made on."""

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """One line: the day, the cores, the memory, Python."""
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    day = datetime.now(UTC).date()
    return (
        f"{day}; {os.cpu_count()} cores, {gibibytes:.0f} GiB, {platform.system()}, Python {platform.python_version()}."
    )
