"""The organization page's figures from others: plain PostgreSQL, polars and DuckDB on Parquet, each in its best form.

None of them has our cubes; each gets the columns, the order and the indexes that help it most. The local days are
given to polars and to Parquet; PostgreSQL works them out, as it must.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import duckdb
import polars as pl
import psycopg

from agent_analytics.period import Days

Filters = Mapping[str, Sequence[str]]
Rows = list[tuple[object, ...]]
COLUMNS = 'organization, day, team, agent_type, model, status, "user", input_tokens, output_tokens, cost, duration_us'
SUMS = (
    "count(*), sum(input_tokens + output_tokens), sum(cost), "
    "count(*) filter (where status = 'succeeded'), count(*) filter (where status <> 'running'), "
    "sum(duration_us), count(duration_us), count(*) filter (where status <> 'running' and cost is not null)"
)
QUANTILES = "percentile_cont(array[0.5, 0.95]) within group (order by duration_us)"
KEYS = ("day", "team", "agent_type", "model", '"user"')
INDEX = (
    "create index runs_for_the_page on analytics.runs (organization, started_at) "
    'include (team, agent_type, model, status, "user", input_tokens, output_tokens, cost, ended_at)'
)


def index(url: str) -> None:
    """Give the record the index that helps PostgreSQL most: all that the page reads."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(INDEX)
        connection.execute("vacuum analyze analytics.runs")


def _condition(organization: str, days: Days, where: Filters) -> str:
    chosen = [f"{name} in ({', '.join(map(_quoted, values))})" for name, values in where.items()]
    within = f"organization = '{organization}' and day between '{days.first}' and '{days.last}'"
    return " and ".join([within, *chosen])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _separately(relation: str, condition: str) -> list[str]:
    quantiles = f"select day, {QUANTILES} from {relation} where {condition} group by 1"
    people = f'select count(distinct "user") from {relation} where {condition}'
    parts = [f"select {key}, {SUMS} from {relation} where {condition} group by 1" for key in KEYS]
    return [f"select {SUMS} from {relation} where {condition}", *parts, quantiles, people]


def _together(relation: str, condition: str) -> list[str]:
    sets = ", ".join(f"({key})" for key in KEYS)
    one = f"select {', '.join(KEYS)}, {SUMS} from {relation} where {condition} group by grouping sets ((), {sets})"
    return [one, *_separately(relation, condition)[-2:]]


def _first(results: list[Rows]) -> Rows:
    """Of the whole page, the totals, to compare."""
    return results[0]


class PostgreSQL:
    """The record itself, raw: nine statements, or one with GROUPING SETS and two more."""

    def __init__(self, url: str, together: bool) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute("set work_mem = '256MB'")
        self._connection.execute("set max_parallel_workers_per_gather = 2")
        self._together = together

    def page(self, organization: str, days: Days, where: Filters) -> Rows:
        first, last = days.first - timedelta(days=1), days.last + timedelta(days=2)
        instants = f"started_at >= '{first}' and started_at < '{last}'"
        condition = f"{_condition(organization, days, where)} and {instants}"
        statements = (_together if self._together else _separately)("analytics.local_runs", condition)
        return _first([self._connection.execute(statement.encode()).fetchall() for statement in statements])


class Parquet:
    """DuckDB on a Parquet file that is sorted by organization and day."""

    def __init__(self, file: Path, together: bool) -> None:
        self._database = duckdb.connect()
        self._relation = f"'{file}'"
        self._together = together

    def page(self, organization: str, days: Days, where: Filters) -> Rows:
        condition = _condition(organization, days, where)
        statements = (_together if self._together else _separately)(self._relation, condition)
        statements = [each.replace("array[0.5, 0.95]", "[0.5, 0.95]") for each in statements]
        return _first([self._database.execute(statement).fetchall() for statement in statements])


class Polars:
    """polars on an organization's columns in memory, names as categories."""

    def __init__(self, file: Path, organization: str) -> None:
        names = ["team", "agent_type", "model", "status", "user"]
        frame = pl.scan_parquet(file).filter(pl.col("organization") == organization)
        cost = (pl.col("cost") * 1_000_000_000).cast(pl.Int64)
        self._frame = frame.with_columns(pl.col(names).cast(pl.Categorical), cost).collect()

    def page(self, organization: str, days: Days, where: Filters) -> Rows:
        chosen = pl.col("day").is_between(days.first, days.last)
        for name, values in where.items():
            chosen &= pl.col(name).cast(pl.String).is_in(list(values))
        rows = self._frame.lazy().filter(chosen)
        duration = pl.col("duration_us")
        quantiles = [duration.quantile(share, "linear").alias(f"p{share}") for share in (0.5, 0.95)]
        asked = [
            rows.select(_sums()),
            *(rows.group_by(key.strip('"')).agg(_sums()) for key in KEYS),
            rows.group_by("day").agg(quantiles),
            rows.select(pl.col("user").n_unique()),
        ]
        return pl.collect_all(asked)[0].rows()


def _sums() -> list[pl.Expr]:
    status, cost = pl.col("status"), pl.col("cost")
    ended = status != "running"
    return [
        pl.len(),
        (pl.col("input_tokens") + pl.col("output_tokens")).sum().alias("tokens"),
        cost.sum(),
        (status == "succeeded").sum().alias("succeeded"),
        ended.sum().alias("ended"),
        pl.col("duration_us").sum(),
        pl.col("duration_us").count().alias("timed"),
        (ended & cost.is_not_null()).sum().alias("known"),
    ]
