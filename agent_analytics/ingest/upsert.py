"""Runs become part of the record: staged, then merged, each organization's under its own row security.

PostgreSQL merges one load of pieces while Python validates the next. All of it is one transaction.
"""

import csv
import io
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import date
from importlib.resources import files
from types import TracebackType
from typing import Any, Self

import psycopg

from agent_analytics.ingest.records import COLUMNS, COSTS, Run
from agent_analytics.store import Connection, enter

EVERY_ORGANIZATION = "*"
TURN = 0.0005
Cursor = psycopg.Cursor[tuple[Any, ...]]
_RUN_ID = COLUMNS.index("run_id")
_NAMES = slice(COLUMNS.index("user"), COLUMNS.index("agent_type") + 1)


def _columns(relation: str | None) -> str:
    quoted = [f'"{column}"' for column in COLUMNS]
    return ", ".join(f"{relation}.{column}" for column in quoted) if relation else ", ".join(quoted)


def _content(relation: str) -> str:
    version = ["organization", "run_id", "updated_at", "mine"]
    computed = [*version, *COSTS, "cost_source"]
    return (
        f"(to_jsonb({relation}) - case when {relation}.cost_source = 'reported' "
        f"then array{version} else array{computed} end)::text"
    )


def _statements(text: str) -> dict[str, str]:
    """The statements of an SQL file by their names."""
    text = re.sub(r"\{columns(?: of (\w+))?\}", lambda match: _columns(match[1]), text)
    text = re.sub(r"\{content of (\w+)\}", lambda match: _content(match[1]), text)
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


SQL = _statements(files(__package__).joinpath("upsert.sql").read_text())


class Piece:
    """Some runs of one organization, in the text that PostgreSQL reads."""

    def __init__(self, organization: str) -> None:
        self.organization = organization
        self.runs = 0
        self.run_ids: set[str] = set()
        self.names: set[tuple[str | None, ...]] = set()
        self.text = io.StringIO()
        self._write = csv.writer(self.text).writerow

    def add(self, run: Run) -> int:
        """Take one run in; gives how long its text is."""
        self.runs += 1
        self.run_ids.add(run[_RUN_ID])
        self.names.add(run[_NAMES])
        return self._write(run)

    def named(self) -> Iterator[tuple[str, list[str]]]:
        """Each kind of name, and the names of that kind."""
        for kind, names in zip(COLUMNS[_NAMES], zip(*self.names, strict=True), strict=True):
            yield kind, sorted({name for name in names if name})


class Merge:
    """Merges loads of pieces, in the background of its `with`; the figures are final after `finish`.

    `accepted` counts runs that are new, `updated` those that were there before and now have a newer version.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._worker = ThreadPoolExecutor(1, "merge")
        self._load: Future[None] | None = None
        self._zones: dict[str, str] = {}
        self._days: defaultdict[str, set[date]] = defaultdict(set)
        self._turn = sys.getswitchinterval()
        self.accepted = self.updated = 0

    def __enter__(self) -> Self:
        """Threads take shorter turns meanwhile: PostgreSQL would stand idle while the merge waits for its own."""
        sys.setswitchinterval(TURN)
        self._connection.execute(SQL["create_staging"])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is not None and self._load is not None and self._load.running():
            with suppress(psycopg.Error):
                self._connection.cancel_safe()
        self._worker.shutdown()
        sys.setswitchinterval(self._turn)

    def add(self, pieces: Sequence[Piece], last: bool) -> None:
        """Begin to merge a load, once the one before is merged.

        A transaction that writes one organization, once, takes that one's lock and nothing else. Any other takes
        the lock of all first, so that only one such transaction runs at a time: no two can wait for each other.
        """
        alone = last and self._load is None and len(pieces) == 1
        self._wait()
        self._load = self._worker.submit(self._merge_load, pieces, alone)

    def finish(self) -> None:
        """Wait for the last load, and report each touched day to those who follow the record."""
        self._wait()
        for organization, days in sorted(self._days.items()):
            enter(self._connection, organization)
            self._run("report_changes", organization=organization, days=sorted(days))

    def _wait(self) -> None:
        if self._load is not None:
            self._load.result()

    def _merge_load(self, pieces: Sequence[Piece], alone: bool) -> None:
        if not alone:
            self._run("lock", name=EVERY_ORGANIZATION)
        for piece in pieces:
            self._merge(piece)

    def _merge(self, piece: Piece) -> None:
        organization = piece.organization
        self._open(organization)
        for kind, names in piece.named():
            self._run(f"create_{kind}s", organization=organization, names=names)
        self._stage(piece)
        inserted = self._count(organization, "insert_new")
        self.accepted += inserted
        if inserted < len(piece.run_ids) and self._run("find_newer", organization=organization).rowcount:
            self.updated += self._count(organization, "update_newer")

    def _open(self, organization: str) -> None:
        enter(self._connection, organization)
        if organization not in self._zones:
            self._run("lock", name=organization)
            self._run("create_organization", organization=organization)
            self._zones[organization] = self._run("zone").fetchall()[0][0]

    def _stage(self, piece: Piece) -> None:
        self._run("empty_staging")
        with self._connection.cursor().copy(SQL["stage"]) as copy:
            copy.write(piece.text.getvalue())
        if len(piece.run_ids) < piece.runs:
            self._run("drop_losers")

    def _count(self, organization: str, statement: str) -> int:
        """Run a statement that writes runs; note the days that it touched, and give how many runs it counts."""
        touched = self._run(statement, zone=self._zones[organization]).fetchall()
        self._days[organization].update(day for day, _ in touched)
        return sum(runs for _, runs in touched)

    def _run(self, statement: str, **values: Any) -> Cursor:
        """Never prepared: a plan made for the first piece would be wrong for a table that has grown since."""
        return self._connection.execute(SQL[statement], values, prepare=False)
