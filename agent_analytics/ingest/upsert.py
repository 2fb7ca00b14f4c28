"""Writing checked runs to the record, batch by batch, in one transaction."""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from importlib.resources import files
from typing import Any

import msgspec

from agent_analytics.ingest.records import FIELDS, Run
from agent_analytics.store import Connection, enter

COLUMNS = (*FIELDS, "cost_source")
_SQL = dict(
    re.findall(
        r"-- name: (\w+)\n(.*?)(?=\n-- name:|\Z)", files(__package__).joinpath("upsert.sql").read_text(), re.DOTALL
    )
)
_QUOTED = ", ".join(f'"{column}"' for column in COLUMNS)
_KEYS = ("organization", "run_id")
_UPDATE = f"""
with updated as (
  update analytics.runs as theirs
  set ({_QUOTED}) = row ({", ".join(f'ours."{column}"' for column in COLUMNS)})
  from pg_temp.incoming as ours join pg_temp.newer on newer.run_id = ours.run_id
  where ours.organization = %(organization)s
    and theirs.organization = ours.organization and theirs.run_id = ours.run_id
  returning ours.run_id, ours.started_at
)
select timezone(organizations.timezone, updated.started_at)::date, old_day
from updated join pg_temp.newer on newer.run_id = updated.run_id
cross join analytics.organizations
where organizations.organization = %(organization)s
"""
_encode = msgspec.json.Encoder().encode

Priced = tuple[Run, str | None]


class Upsert:
    """One transaction's writing; `finish` it, or nothing is told to the cache."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.accepted = 0
        self.updated = 0
        self._touched: dict[str, set[date]] = defaultdict(set)
        connection.execute("select pg_advisory_xact_lock(hashtext('agent_analytics.ingest'))")
        # The staged rows have no statistics: a plan that reads all of the record to find a few is always wrong.
        connection.execute("set local enable_hashjoin = off; set local enable_mergejoin = off")
        connection.execute(_SQL["stage"])

    def write(self, batch: Sequence[Priced]) -> None:
        """Take a batch over: insert what is new, replace what is older."""
        self._connection.execute("truncate pg_temp.incoming")
        with self._connection.cursor().copy(f"copy pg_temp.incoming ({_QUOTED}) from stdin csv") as copy:
            copy.write(_as_csv(batch))
        if self._one(_SQL["repeated"]):
            self._connection.execute(_SQL["keep_newest"])
        for organization in sorted({str(run.organization) for run, _ in batch}):
            self._merge(organization)

    def finish(self) -> None:
        """Note which (organization, day) pieces have changed."""
        for organization, days in self._touched.items():
            enter(self._connection, organization)
            with self._connection.cursor() as cursor:
                cursor.executemany(
                    "insert into analytics.changes (organization, day) values (%s, %s)",
                    [(organization, day) for day in sorted(days)],
                )

    def _merge(self, organization: str) -> None:
        enter(self._connection, organization)
        for name in ("create_organization", "create_teams", "create_users", "create_agent_types", "find_newer"):
            self._run(name, organization)
        for day, count in self._run("insert", organization).fetchall():
            self.accepted += count
            self._touched[organization].add(day)
        replaced = self._connection.execute(_UPDATE, {"organization": organization}).fetchall()
        self.updated += len(replaced)
        self._touched[organization].update(day for days in replaced for day in days)
        self._run("forget", organization)

    def _run(self, name: str, organization: str) -> Any:
        return self._connection.execute(_SQL[name], {"organization": organization})

    def _one(self, statement: str) -> Any:
        row = self._connection.execute(statement).fetchone()
        return row and row[0]


def _as_csv(batch: Sequence[Priced]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(_cells(run, source) for run, source in batch)
    return text.getvalue()


def _cells(run: Run, source: str | None) -> list[Any]:
    cells = [getattr(run, field) for field in FIELDS]
    cells[_ATTRIBUTES] = _encode(run.attributes or {}).decode()
    return [*cells, source]


_ATTRIBUTES = FIELDS.index("attributes")
