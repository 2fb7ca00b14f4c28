"""SQL of a person's own, under their own database login: rows come back as a frame, with exact types."""

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString, cast

import psycopg

from agent_analytics.errors import AgentAnalyticsError, Forbidden, QueryError, ServiceError

if TYPE_CHECKING:
    import pandas

SQL_FILE = "AGENT_ANALYTICS_SQL_FILE"
MOST_ROWS = 1_000_000
ENDED = "Your database login has ended: your rights changed or your session is over. Open JupyterLab again."
_AT_ONCE = 1000
_FRAME_TYPES = {
    **dict.fromkeys(("int2", "int4", "int8"), "Int64"),
    **dict.fromkeys(("float4", "float8"), "float64"),
    **dict.fromkeys(("text", "varchar", "bpchar", "name"), "str"),
    "bool": "boolean",
    "date": "datetime64[s]",
    "timestamp": "datetime64[us]",
    "timestamptz": "datetime64[us, UTC]",
    "interval": "timedelta64[us]",
}
Parameters = Sequence[Any] | Mapping[str, Any] | None
Connection = psycopg.Connection[Any]


def url(environ: Mapping[str, str] = os.environ) -> str:
    """The person's own URL, which JupyterLab was started with. Raises ServiceError elsewhere, Forbidden once gone."""
    file = environ.get(SQL_FILE)
    if not file:
        raise ServiceError(
            f"SQL is for team leads and organization admins, in their own JupyterLab; {SQL_FILE} is not set here."
        )
    try:
        return Path(file).read_text().strip()
    except OSError:
        raise Forbidden(ENDED) from None


def connect(url: str) -> Connection:
    """A connection that only reads, in UTC. Raises Forbidden or ServiceError, neither with the password."""
    try:
        connection = psycopg.connect(url, autocommit=True, connect_timeout=10, application_name="notebook")
        connection.execute("set timezone = 'UTC'")
        connection.read_only = True
    except psycopg.Error as error:
        raise _refusal(error) from None
    return connection


def frame(url: str, text: str, parameters: Parameters = None) -> "pandas.DataFrame":
    """The rows of a statement, at most MOST_ROWS: integers `Int64`, numeric `Decimal` objects, times `datetime64`.

    Placeholders are `%s` or `%(name)s`, as psycopg's. Raises QueryError, Forbidden or ServiceError.
    """
    with connect(url) as connection, _told():
        cursor, statement = connection.cursor(), cast("LiteralString", text)
        rows = cast("Generator[tuple[Any, ...]]", cursor.stream(statement, parameters, size=_AT_ONCE))
        # Closed even where rows are left: it cancels the statement and frees the connection.
        with closing(rows):
            found = list(islice(rows, MOST_ROWS + 1))
        if not found:
            # A stream of nothing does not tell its columns.
            found = cursor.execute(statement, parameters).fetchmany(MOST_ROWS + 1)
        if len(found) > MOST_ROWS:
            raise QueryError(f"More than {MOST_ROWS:,} rows. Let SQL count or select, or add a limit.")
        return _frame(cursor.description or [], found)


def _frame(columns: Sequence[psycopg.Column], rows: list[tuple[Any, ...]]) -> "pandas.DataFrame":
    """Two columns may have the same name."""
    import pandas

    types = [_FRAME_TYPES.get(column.type_display, "object") for column in columns]
    values: Iterator[Any] = iter(zip(*rows, strict=True)) if rows else iter([()] * len(columns))
    made = {place: pandas.Series(list(each), dtype="object") for place, each in enumerate(values)}
    table = pandas.DataFrame(made).astype(dict(enumerate(types)))
    return table.set_axis([column.name for column in columns], axis=1)


@contextmanager
def _told() -> Iterator[None]:
    """PostgreSQL's errors as ours, in one line."""
    try:
        yield
    except psycopg.errors.QueryCanceled:
        raise QueryError("The query was ended: it took too long. Ask for less, or by session.answer(...).") from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise Forbidden(f"Your login may not do this: {_line(error)}.") from None
    except psycopg.OperationalError as error:
        raise _refusal(error) from None
    except psycopg.Error as error:
        raise QueryError(_NO_RESULT if "didn't produce a result" in str(error) else _line(error)) from None


_NO_RESULT = "The statement gave no rows; session.sql is for SELECT."
_REFUSALS: dict[str, Callable[[], AgentAnalyticsError]] = {
    "password authentication failed": lambda: Forbidden(ENDED),
    "not permitted to log in": lambda: Forbidden(ENDED),
    "terminating connection": lambda: Forbidden(f"The server ended the session: it took too long, or: {ENDED}"),
    "too many connections for role": lambda: ServiceError(
        "All connections of your login are in use. Shut down a kernel that you no longer need."
    ),
}


def _refusal(error: psycopg.Error) -> AgentAnalyticsError:
    for said, ours in _REFUSALS.items():
        if said in str(error):
            return ours()
    return ServiceError(f"PostgreSQL does not answer: {_line(error)}")


def _line(error: psycopg.Error) -> str:
    said = error.diag.message_primary or (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"{said} ({error.diag.message_hint})" if error.diag.message_hint else said
