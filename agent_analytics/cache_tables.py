"""The cache's tables in DuckDB: the runs in columns, the cubes, and how a batch of pieces takes its place in them.

A batch is made ready in temporary tables of the same shape, so that nothing of what is there need be read for it.
"""

from collections.abc import Mapping

import duckdb
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from agent_analytics import feed
from agent_analytics.compile import Statement, render
from agent_analytics.cubes import CUBES, added_up, dimensions_of, source_of
from agent_analytics.tables import local_runs, runs

VERSION = 3
ORDER = ("organization", "day", "team", "agent_type")

_DIALECT = postgresql.dialect()
_LEFT_OUT = {column.name for column in runs.c} - {*feed.SENT} | {"ended_at"}
# In the order in which they are made: each from one before it.
_TABLES = (local_runs, *reversed(CUBES))
_COLUMNS = {
    table: {column.name: column.type.compile(_DIALECT) for column in table.c if column.name not in _LEFT_OUT}
    for table in _TABLES
}
_READY = {table: table.to_metadata(sa.MetaData(), schema="temp") for table in _TABLES}
_READ = {name: local_runs.c[name].type.compile(_DIALECT) for name in feed.SENT} | {feed.LOCAL: "timestamp"}
_DERIVED = {
    "day": "local::date",
    "hour": "date_trunc('hour', local)",
    "duration_us": "case when status <> 'running' then epoch_us(ended_at) - epoch_us(started_at) end",
}
_FROM_FILE = f"""
select {", ".join(_DERIVED.get(name, "") + f' "{name}"' for name in _COLUMNS[local_runs])}
from read_csv($1, header = false, auto_detect = false, nullstr = '', allow_quoted_nulls = false,
              delim = ',', quote = '"', escape = '"', columns = {_READ!r})
"""


def create(database: duckdb.DuckDBPyConnection) -> None:
    """Empty, in a new file."""
    for statement in (
        "create schema analytics",
        "create table analytics.layout (version integer)",
        "create table analytics.position (origin text, horizon bigint)",
        "create table analytics.organizations (organization text, timezone text)",
        *(_create(f"table {table.fullname}", columns) for table, columns in _COLUMNS.items()),
        f"insert into analytics.layout values ({VERSION})",
    ):
        database.execute(statement)


def forget(database: duckdb.DuckDBPyConnection) -> None:
    """Everything. Tables made anew give their place in the file back, which emptied ones would not."""
    for table, columns in _COLUMNS.items():
        database.execute(f"drop table {table.fullname}")
        database.execute(_create(f"table {table.fullname}", columns))
    database.execute("delete from analytics.position")
    database.execute("delete from analytics.organizations")


def _create(what: str, columns: Mapping[str, str]) -> str:
    listed = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
    return f"create {what} ({listed})"


def remove(database: duckdb.DuckDBPyConnection, piece: feed.Piece) -> None:
    """The runs of a piece, and its part of each cube."""
    days = "" if piece.whole else " and day in (select unnest($2))"
    values = [piece.organization] if piece.whole else [piece.organization, list(piece.days)]
    for table in _TABLES:
        database.execute(f"delete from {table.fullname} where organization = $1{days}", values)


def add(database: duckdb.DuckDBPyConnection, file: str) -> None:
    """The runs of whole pieces from a file, and what they add up to in each cube."""
    _make_ready(database, local_runs, Statement(_FROM_FILE, (file,)))
    for cube in reversed(CUBES):
        held = added_up(cube, [column.name for column in cube.c], _READY[source_of(cube)])
        _make_ready(database, cube, render(held))
    for table in _TABLES:
        order = ", ".join(f'"{name}"' for name in (ORDER if table is local_runs else dimensions_of(table)))
        database.execute(f"insert into {table.fullname} select * from {_READY[table].fullname} order by {order}")
        database.execute(f"drop table {_READY[table].fullname}")


def _make_ready(database: duckdb.DuckDBPyConnection, table: sa.Table, rows: Statement) -> None:
    """In a temporary table made anew: one that is emptied keeps what was in it."""
    database.execute(f"create or replace temporary table {table.name} as {rows.text}", rows.values)


def keep_zones(database: duckdb.DuckDBPyConnection, zones: list[tuple[str, str]]) -> None:
    database.execute("delete from analytics.organizations")
    if zones:
        database.executemany("insert into analytics.organizations values ($1, $2)", zones)
