"""How fast files are ingested: `python -m benchmarks.ingest [--rows N] [--times K]`.

Makes a CSV file of N runs (the same for the same N), and takes it in K times, each time into a fresh database on a
fresh embedded PostgreSQL:

- bare: COPY into a temporary table and one `INSERT … ON CONFLICT DO UPDATE`, as superuser, with no row security, no
  validation, no prices, no report of what changed;
- ingest: what `agent-analytics ingest runs` does;
- again: the same file once more, of which nothing is new;
- newer: every run once more with a later version.

Gives medians, rows per second end to end, their ratio to bare, and the peak memory of the Python process.
"""

import argparse
import csv
import multiprocessing
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from agent_analytics import migrations, store
from agent_analytics.ingest import ingest_runs, open_source
from agent_analytics.ingest.records import FIELDS
from agent_analytics.serving import postgres
from agent_analytics.settings import Settings
from benchmarks.table import table

START = datetime(2026, 1, 1, tzinfo=UTC)
MODELS = ("claude-sonnet-4-5", "gpt-4o", "gpt-4o-mini", "gemini-2.5-pro", "in-house-1")
COLUMNS = ", ".join(f'"{field}"' for field in FIELDS)
SENT = {
    "retries": "coalesce(retries, 0)",
    "attributes": "coalesce(attributes, '{}')",
    "updated_at": "coalesce(updated_at, ended_at, started_at)",
}
VALUES = ", ".join(SENT.get(field, f'"{field}"') for field in FIELDS)
EXCLUDED = ", ".join(f'excluded."{field}"' for field in FIELDS)
Seconds = float


def rows(count: int, version: int) -> Iterator[list[object]]:
    """Runs of three organizations: half bring their costs, half are priced, one in five has a model without a price."""
    draw = random.Random(7)
    for number in range(count):
        started_at = START + timedelta(seconds=10 * number, milliseconds=draw.randrange(1000))
        ended_at = started_at + timedelta(milliseconds=int(draw.expovariate(1 / 90_000)))
        tokens, made = draw.randrange(100, 60_000), draw.randrange(10, 4000)
        failed, costs = draw.random() < 0.08, (tokens * 3 / 1e6, made * 15 / 1e6) if draw.random() < 0.5 else ("", "")
        yield [
            draw.choice(("acme", "acme", "globex", "initech")),
            f"{draw.getrandbits(128):032x}",
            f"user-{int(draw.paretovariate(1)) % 2000}@example.com",
            f"team-{draw.randrange(40)}" if draw.random() > 0.05 else "",
            draw.choice(("coder", "reviewer", "triage", "docs")),
            "failed" if failed else "succeeded",
            started_at.isoformat(timespec="milliseconds"),
            ended_at.isoformat(timespec="milliseconds"),
            draw.choice(MODELS),
            *("", tokens, made, int(tokens * draw.random() * 0.7), 0, ""),
            *("" if cost == "" else f"{cost:.6f}" for cost in costs),
            *("", draw.randrange(3), "tool_error" if failed else ""),
            "The tool 'search' did not answer within 30 s" if failed else "",
            '{"repository": "acme/web", "branch": "main"}' if draw.random() < 0.3 else "",
            (ended_at + timedelta(hours=version)).isoformat(timespec="milliseconds") if version else "",
        ]


def write(path: Path, count: int, version: int = 0) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        writer.writerows(rows(count, version))
    return path


@contextmanager
def database(settings: Settings, name: str) -> Iterator[str]:
    """The URL of a fresh, migrated database."""
    admin = postgres.record_url(settings)
    url = urlunsplit(urlsplit(admin)._replace(path=f"/{name}"))
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"create database {name}")
        migrations.migrate(url, store.passwords(settings.home))
        yield url
        connection.execute(f"drop database {name} with (force)")
        connection.execute("checkpoint")


def bare(url: str, path: Path) -> None:
    with psycopg.connect(url) as connection, path.open("rb") as file:
        connection.execute(
            "insert into analytics.organizations (organization, name) "
            "select slug, slug from unnest(array['acme', 'globex', 'initech']) slug"
        )
        connection.execute("create temporary table staged (like analytics.runs) on commit drop")
        connection.execute("alter table staged alter retries drop not null, alter attributes drop not null")
        connection.execute("alter table staged alter updated_at drop not null")
        with connection.cursor().copy(f"copy staged ({COLUMNS}) from stdin (format csv, header)") as copy:
            while data := file.read(1 << 20):
                copy.write(data)
        connection.execute(
            f"insert into analytics.runs as recorded ({COLUMNS}) select {VALUES} from staged "
            f"on conflict (organization, run_id) do update set ({COLUMNS}) = ({EXCLUDED}) "
            "where excluded.updated_at > recorded.updated_at"
        )


def ingest(url: str, path: Path, home: Path) -> None:
    with store.Record(url, home) as record:
        ingest_runs(record, [open_source(str(path))])


def measure(call: Callable[..., None], *arguments: object) -> tuple[Seconds, int]:
    """Seconds and peak memory in MB of a call in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (call, *arguments))


def _measured(call: Callable[..., None], *arguments: object) -> tuple[Seconds, int]:
    start = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def measure_all(settings: Settings, first: Path, newer: Path, times: int) -> dict[str, list[tuple[Seconds, int]]]:
    figures: dict[str, list[tuple[Seconds, int]]] = {"bare": [], "ingest": [], "again": [], "newer": []}
    for turn in range(times):
        with database(settings, f"bare_{turn}") as url:
            figures["bare"].append(measure(bare, url, first))
        with database(settings, f"ingest_{turn}") as url:
            for name, path in (("ingest", first), ("again", first), ("newer", newer)):
                figures[name].append(measure(ingest, url, path, settings.home))
    return figures


def report(figures: dict[str, list[tuple[Seconds, int]]], count: int) -> str:
    base = statistics.median(seconds for seconds, _ in figures["bare"])
    lines = []
    for name, measured in figures.items():
        seconds = statistics.median(seconds for seconds, _ in measured)
        peak = max(memory for _, memory in measured)
        lines.append((name, f"{seconds:.1f}", f"{count / seconds:,.0f}", f"{base / seconds:.2f}", f"{peak}"))
    return table((f"{count:,} runs", "seconds", "rows/s", "ratio to bare", "peak MB"), lines)


def main(count: int = 1_000_000, times: int = 3) -> str:
    with tempfile.TemporaryDirectory(prefix="aa-bench-", dir="/tmp") as name:
        place = Path(name)
        place.chmod(0o711)
        settings = Settings(home=place / "home")
        first = write(place / "runs.csv", count)
        newer = write(place / "newer.csv", count, version=1)
        with postgres.running(settings):
            return report(measure_all(settings, first, newer, times), count)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=3)
    arguments = parser.parse_args()
    print(main(arguments.rows, arguments.times))
