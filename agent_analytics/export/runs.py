"""The runs that an answer counts, copied out of the record: PostgreSQL writes the CSV, and Python touches no row."""

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import psycopg.sql
import sqlalchemy as sa

from agent_analytics.answer import Answer
from agent_analytics.compile import Rows, conditions, midnight, render
from agent_analytics.counting import Column
from agent_analytics.output import NUMBER, RISKY
from agent_analytics.period import Days, Span
from agent_analytics.scope import Scope
from agent_analytics.store import Connection
from agent_analytics.tables import local_runs, runs

COLUMNS = tuple(str(column.name) for column in runs.c if column.name != "cost_source")
BLOCK = 256 * 1024
# In place of a message's own line feeds, until those of the lines have become CRLF: no message has this character.
_LINE_FEED = "\x01"
# Between these, by bytes, lie the texts whose first character no spreadsheet heeds; most texts do.
_SAFE = ("A", "\uff00")
_TEXTS = ("run_id", "user", "team", "agent_type", "model", "model_version", "error_category", "error_message")
_PLACE = re.compile(r"\$([0-9]+)")


def csv_of_runs(found: Answer, scope: Scope, connection: Connection) -> Iterator[bytes]:
    """The runs that `found` counts as RFC 4180, UTF-8, with a header, in blocks of whole lines.

    Lines end in CRLF. Cells that a spreadsheet would run are made harmless.
    """
    rows = selected(found, scope, [_csv_cell(column) for column in columns()])
    options = "format csv, header, force_quote (error_message)"
    for block in copied(rows, options, BLOCK, connection):
        yield block.replace(b"\n", b"\r\n").replace(_LINE_FEED.encode(), b"\n")


def columns() -> list[Column]:
    """The contract's columns, times as RFC 3339 in UTC."""
    return [_instant(column) if _is_time(column) else column for column in (local_runs.c[name] for name in COLUMNS)]


def _is_time(column: Column) -> bool:
    return isinstance(column.type, sa.DateTime)


def _instant(column: Column) -> Column:
    """`to_char` would take three times as long as the text of a time without a zone, mended."""
    text = sa.cast(sa.func.timezone("UTC", column), sa.Text)
    return (sa.func.replace(text, " ", "T", type_=sa.Text) + "Z").label(column.name)


def _csv_cell(column: Column) -> Column:
    return _harmless(column).label(column.name) if column.name in _TEXTS else column


def _harmless(column: Column) -> Column:
    """As `output.harmless`, in SQL."""
    formula = sa.and_(sa.func.left(column, 1).in_(RISKY), sa.not_(column.regexp_match(NUMBER)))
    text = sa.case((column.collate("C").between(*_SAFE), column), (formula, sa.literal("'") + column), else_=column)
    return sa.func.replace(text, "\n", _LINE_FEED) if column.name == "error_message" else text


def selected(found: Answer, scope: Scope, cells: Iterable[Column]) -> sa.Select:
    """These cells of the runs that `found` counts."""
    rows = Rows(found.query.where, Span(found.days, found.until))
    chosen = conditions(local_runs, rows, scope)
    return sa.select(*cells).where(*(_quick(condition, found.days) for condition in chosen))


def _quick(condition: sa.ColumnElement[bool], days: Days) -> sa.ColumnElement[bool]:
    """The local day, which is dear, is asked only of runs so near to the first or last day that a zone matters."""
    if not condition.compare(local_runs.c.day.between(days.first, days.last)):
        return condition
    start = local_runs.c.started_at
    inside = sa.and_(start >= midnight(days.first + timedelta(days=1)), start < midnight(days.last))
    return sa.or_(inside, condition)


def copied(rows: sa.Select, options: str, size: int, connection: Connection) -> Iterator[bytes]:
    """What PostgreSQL writes of these rows, in blocks of whole rows of about `size` bytes."""
    statement = render(rows)
    # COPY takes no parameters.
    quoted = [psycopg.sql.Literal(value).as_string(connection) for value in statement.values]
    text = _PLACE.sub(lambda place: quoted[int(place[1]) - 1], statement.text)
    connection.execute("set local datestyle to iso")
    with connection.cursor() as cursor, cursor.copy(f"copy ({text}) to stdout ({options})".encode()) as copy:
        yield from _blocks(copy, size)


def _blocks(copy: psycopg.Copy, size: int) -> Iterator[bytes]:
    """The rows put together. To wait for each alone would take twice as long as to take what is there already."""
    connection = copy.connection.pgconn
    held: list[Any] = []
    length = received = 0
    while received >= 0 and (row := copy.read()):
        received = len(row)
        while received > 0:
            held.append(row)
            length += received
            received, row = connection.get_copy_data(1)
        if length >= size:
            yield b"".join(held)
            held, length = [], 0
    _check_end(connection, received)
    if held:
        yield b"".join(held)


def _check_end(connection: psycopg.pq.abc.PGconn, received: int) -> None:
    """Where the last row was taken past psycopg, so was the end, and an error with it."""
    result = connection.get_result() if received < 0 else None
    if result is not None and result.status != psycopg.pq.ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(result)
    while result is not None:
        result = connection.get_result()
