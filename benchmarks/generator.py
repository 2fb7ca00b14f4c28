"""A platform's runs in bulk, for the benchmarks: deterministic for a seed, made by columns, a million in seconds.

Zipf's law for people, a weekly and a daily rhythm, growth over time, log-normal durations and tokens, some failures,
some runs without a team, one model in eight without a price.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.csv as pa_csv

from agent_analytics.tables import runs as runs_table

DAYS = 400
END = date(2026, 11, 21)
HOUR = 3_600_000_000
CHUNK = 250_000
ZONES = ("America/New_York", "Europe/Berlin", "UTC", "Asia/Kolkata", "Australia/Lord_Howe")
SHARES = (50, 12, 9, 7, 4, 3, 2.5, 2, 1.8, 1.5, 1.2, 1, 1, 0.8, 0.8, 0.7, 0.6, 0.5, 0.4, 0.2)
AGENT_TYPES = tuple(f"agent-{number:02}" for number in range(12))
MODELS = tuple(f"model-{letter}" for letter in "abcdefgh")
NANO_PER_TOKEN = np.array([150, 250, 500, 1000, 2500, 3000, 5000, 0])
LARGEST, MEDIUM = "org-01", "org-05"
Draw = np.random.Generator
Columns = dict[str, Any]


@dataclass(frozen=True)
class Cast:
    """Who works in an organization: each user's home team and second team, each agent type's usual models."""

    users: pa.Array
    teams: pa.Array
    share: np.ndarray
    home: np.ndarray
    second: np.ndarray
    favourite: np.ndarray


def sizes(total: int) -> dict[str, int]:
    """Twenty organizations that share `total` runs; the largest has half, `MEDIUM` four in a hundred."""
    return {f"org-{number:02}": int(total * share / 100) for number, share in enumerate(SHARES, 1)}


def zone(organization: str) -> str:
    return ZONES[int(organization[-2:]) % len(ZONES)]


def fill(url: str, organizations: Mapping[str, int], seed: int = 7) -> None:
    """COPY the runs straight into a migrated, empty record, as its superuser, and report every organization changed."""
    names = ", ".join(f'"{name}"' for name in next(tables("org-01", 1, seed)).column_names)
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        for organization, count in organizations.items():
            cursor.execute(
                "insert into analytics.organizations (organization, name, timezone) values (%s, %s, %s)",
                [organization, organization, zone(organization)],
            )
            with cursor.copy(f"copy {runs_table.fullname} ({names}) from stdin (format csv)") as copy:
                for table in tables(organization, count, seed):
                    copy.write(_csv(table))
            cursor.execute("insert into analytics.changes (organization) values (%s)", [organization])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("vacuum analyze")


def _csv(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pa_csv.write_csv(table, sink, pa_csv.WriteOptions(include_header=False))
    return bytes(sink.getvalue())


def tables(organization: str, count: int, seed: int) -> Iterator[pa.Table]:
    """The runs of one organization in the order of their start, some at a time."""
    draw = np.random.default_rng([seed, int(organization[-2:])])
    cast = _cast(draw, organization, count)
    starts = _starts(draw, count)
    for first in range(0, count, CHUNK):
        part = starts[first : first + CHUNK]
        yield pa.table(_columns(draw, organization, cast, part))


def _cast(draw: Draw, organization: str, count: int) -> Cast:
    users, teams = max(10, count // 2500), max(3, count // 83_000)
    weights = np.arange(1, users + 1) ** -0.6
    return Cast(
        pa.array([f"user-{number:04}@{organization}.example" for number in range(users)]),
        pa.array([f"team-{number:02}" for number in range(teams)]),
        weights / weights.sum(),
        draw.integers(0, teams, users),
        draw.integers(0, teams, users),
        draw.integers(0, len(MODELS), len(AGENT_TYPES)),
    )


def _starts(draw: Draw, count: int) -> np.ndarray:
    """Microseconds since 1970, ascending: busier by day, quieter at weekends, growing."""
    hours = np.arange(DAYS * 24)
    first = END - timedelta(days=DAYS - 1)
    weekday, hour = (hours // 24 + first.weekday()) % 7, hours % 24
    weight = (1 + hours / len(hours)) * np.where(weekday < 5, 1, 0.25) * (0.2 + np.exp(-(((hour - 14) / 5) ** 2)))
    counts = draw.multinomial(count, weight / weight.sum())
    origin = int(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp()) * 1_000_000
    starts = origin + np.repeat(hours, counts).astype(np.int64) * HOUR + draw.integers(0, HOUR, count)
    starts.sort()
    return starts


def _columns(draw: Draw, organization: str, cast: Cast, starts: np.ndarray) -> Columns:
    count = len(starts)
    user = draw.choice(len(cast.share), size=count, p=cast.share)
    team = np.where(draw.random(count) < 0.85, cast.home[user], cast.second[user])
    agent_type = np.minimum((draw.zipf(1.6, count) + user) % len(AGENT_TYPES), len(AGENT_TYPES) - 1)
    model = np.where(draw.random(count) < 0.8, cast.favourite[agent_type], draw.integers(0, len(MODELS), count))
    status = np.where(starts > starts[-1] - HOUR // 4, 0, draw.choice([1, 2, 3], size=count, p=[0.9, 0.07, 0.03]))
    failed, running = status == 2, status == 0
    ended = starts + (np.minimum(np.exp(draw.normal(9.5, 1.4, count)), 20_000_000) * 1000).astype(np.int64)
    return {
        "organization": pa.array([organization]).take(pa.array(np.zeros(count, np.int8))),
        "run_id": _run_ids(draw, count),
        "user": cast.users.take(pa.array(user)),
        "team": _where(draw.random(count) < 0.95, cast.teams, team),
        "agent_type": pa.array(AGENT_TYPES).take(pa.array(agent_type)),
        "status": pa.array(["running", "succeeded", "failed", "cancelled"]).take(pa.array(status)),
        "started_at": pa.array(starts, pa.timestamp("us", "UTC")),
        "ended_at": pa.array(ended, pa.timestamp("us", "UTC"), mask=running),
        "model": pa.array(MODELS).take(pa.array(model)),
        **_usage(draw, model, running),
        "retries": np.where(draw.random(count) < 0.9, 0, draw.integers(1, 4, count)),
        "error_category": _where(failed, pa.array(["timeout", "tool_error", "rate_limit"]), draw.integers(0, 3, count)),
        "error_message": _where(failed, pa.array(["The tool 'search' did not answer within 30 s"]), 0 * user),
        "updated_at": pa.array(np.where(running, starts, ended), pa.timestamp("us", "UTC")),
    }


def _usage(draw: Draw, model: np.ndarray, running: np.ndarray) -> Columns:
    """Tokens, and what they cost; unknown while a run is running, costs also for the model without a price."""
    count = len(model)
    tokens_in = np.exp(draw.normal(8.5, 1.2, count)).astype(np.int64)
    tokens_out = np.exp(draw.normal(6.5, 1.1, count)).astype(np.int64)
    cached = (tokens_in * draw.random(count) * 0.7).astype(np.int64)
    price = NANO_PER_TOKEN[model]
    unpriced = running | (price == 0)
    costs = {"input_cost": tokens_in * price, "output_cost": tokens_out * price * 4}
    costs["cost"] = costs["input_cost"] + costs["output_cost"]
    return {
        "input_tokens": pa.array(tokens_in, mask=running),
        "output_tokens": pa.array(tokens_out, mask=running),
        "cache_read_tokens": pa.array(cached, mask=running),
        **{name: _money(nano, unpriced) for name, nano in costs.items()},
        "cost_source": _where(~unpriced, pa.array(["reported"]), 0 * model),
    }


def _where(known: np.ndarray, names: pa.Array, positions: np.ndarray) -> pa.Array:
    return names.take(pa.array(positions, mask=~known))


def _money(nano: np.ndarray, unknown: np.ndarray) -> pa.Array:
    """Whole nano-dollars as decimals: a 128-bit number's low half is the 64-bit one's."""
    halves = np.zeros((len(nano), 2), np.int64)
    halves[:, 0] = nano
    bits = pa.py_buffer(np.packbits(~unknown, bitorder="little").tobytes())
    return pa.Array.from_buffers(pa.decimal128(20, 9), len(nano), [bits, pa.py_buffer(halves.tobytes())])


def _run_ids(draw: Draw, count: int) -> pa.Array:
    text = draw.bytes(count * 16).hex().encode()
    offsets = np.arange(count + 1, dtype=np.int32) * 32
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(text)])
