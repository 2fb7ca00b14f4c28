"""How fast the organization page's questions are answered at ten million runs, beside others who answer them.

`python -m benchmarks.answers [--runs N]`. Ours: the statements alone on the cache's file, then one HTTP call that asks
for the whole page. Medians of several calls; each peer answers the same page over the same runs in the same minutes.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import psutil

from agent_analytics.asking import answers
from agent_analytics.cache import Cache
from agent_analytics.compile import Row, Run, Statement
from agent_analytics.period import Days
from agent_analytics.query import Query
from agent_analytics.scope import Principal, scope_of
from agent_analytics.serving import postgres
from agent_analytics.settings import Settings
from benchmarks import exports, follow, generator, panels, peers, platform
from benchmarks.table import table

TIMES = 15
NOW = datetime.combine(generator.END, datetime.min.time(), UTC) + timedelta(hours=20)
Milliseconds = float
Question = tuple[str, str, int, Mapping[str, list[str]]]
QUESTIONS: tuple[Question, ...] = (
    ("largest organization, 30 days", generator.LARGEST, 30, {}),
    ("largest organization, 90 days", generator.LARGEST, 90, {}),
    ("largest organization, 365 days", generator.LARGEST, 365, {}),
    ("the same, two filters, 365 days", generator.LARGEST, 365, panels.FILTERS),
    ("an organization of 400,000 runs, 365 days", generator.MEDIUM, 365, {}),
)


def days(count: int) -> Days:
    return Days(generator.END - timedelta(days=count - 1), generator.END)


def median(call: Callable[[], object], times: int = TIMES) -> Milliseconds:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken)


class Timed(Cache):
    """A cache that adds up how long its statements take."""

    seconds = 0.0

    @contextmanager
    def reading(self, organization: str | None) -> Iterator[Run]:
        with super().reading(organization) as run:

            def timed(statement: Statement) -> list[Row]:
                start = time.perf_counter()
                rows = run(statement)
                self.seconds += time.perf_counter() - start
                return rows

            yield timed


def statements(cache: Timed, organization: str, queries: list[Query]) -> Milliseconds:
    """The median time of a page's statements."""
    scope, taken = scope_of(Principal("ORG_ADMIN", organization)), []
    for _ in range(TIMES):
        cache.seconds = 0
        answers(queries, scope, cache, NOW)
        taken.append(cache.seconds * 1000)
    return statistics.median(taken)


def ours(cache: Timed) -> Iterator[tuple[str, Milliseconds, Milliseconds]]:
    """Each question, the time of its statements, and of the period before's."""
    for name, organization, count, where in QUESTIONS:
        period = days(count)
        page = statements(cache, organization, panels.page(period, where))
        yield name, page, statements(cache, organization, panels.before(period))


def over_http(settings: Settings) -> list[Milliseconds]:
    taken = []
    for _, organization, count, where in QUESTIONS:
        session = platform.session(settings, Principal("ORG_ADMIN", organization))
        queries = panels.page(days(count), where)
        taken.append(median(lambda session=session, queries=queries: session.answers(queries)))  # type: ignore[misc]
    return taken


def others(settings: Settings, parquet: Path) -> dict[str, list[Milliseconds]]:
    """Each peer's times, in the order of QUESTIONS."""
    url = postgres.record_url(settings)
    found: dict[str, list[Milliseconds]] = {}
    for name, peer, times in (
        ("PostgreSQL, a statement a panel", peers.PostgreSQL(url, together=False), 1),
        ("PostgreSQL, GROUPING SETS", peers.PostgreSQL(url, together=True), 1),
        ("DuckDB on Parquet, a statement a panel", peers.Parquet(parquet, together=False), 5),
        ("DuckDB on Parquet, GROUPING SETS", peers.Parquet(parquet, together=True), 5),
    ):
        found[name] = [_asked(peer.page, question, times) for question in QUESTIONS]
    in_memory = {each: peers.Polars(parquet, each) for each in {question[1] for question in QUESTIONS}}
    found["polars, in memory"] = [_asked(in_memory[question[1]].page, question, 5) for question in QUESTIONS]
    return found


def _asked(page: Callable[..., object], question: Question, times: int) -> Milliseconds:
    _, organization, count, where = question
    if times > 1:
        page(organization, days(count), where)
    return median(lambda: page(organization, days(count), where), times)


def parquet_of(cache: Path, file: Path) -> Path:
    with duckdb.connect(str(cache), read_only=True) as database:
        select = f"select {peers.COLUMNS} from analytics.local_runs order by organization, day"
        database.execute(f"copy ({select}) to '{file}' (format parquet)")
    return file


def report(measured: list[tuple[str, float, float]], http: list[float], peer: dict[str, list[float]]) -> str:
    head = ("the whole page, ms (ratio to ours)", *(name for name, _, _ in measured))
    base = [page for _, page, _ in measured]
    rows = [
        ("**statements alone**", *(f"**{page:.0f}**" for page in base)),
        ("the period before's cards", *(f"{before:.0f}" for _, _, before in measured)),
        ("one HTTP call, decoded", *(f"{each:.0f}" for each in http)),
        *(
            (name, *(f"{each:,.0f} ({each / own:.1f})" for each, own in zip(taken, base, strict=True)))
            for name, taken in peer.items()
        ),
    ]
    return table(head, rows)


def growth(settings: Settings) -> Milliseconds:
    """The organization of fixed size, in a record of a tenth of the size."""
    with platform.api(settings):
        pass
    with cache_of(settings) as cache:
        return statements(cache, generator.MEDIUM, panels.page(days(365)))


@contextmanager
def cache_of(settings: Settings) -> Iterator[Timed]:
    with Timed.open(settings.home / "cache" / "runs.duckdb") as cache, platform.reader(settings) as record:
        cache.follow(record)
        yield cache


def main(runs: int = platform.RUNS) -> str:
    sizes = generator.sizes(runs)
    with platform.record(sizes) as settings:
        with platform.api(settings) as (process, seconds):
            file = settings.home / "cache" / "runs.duckdb"
            built = (f"{seconds:.0f} s", f"{file.stat().st_size / 1e6:.0f} MB", memory(process))
            http = over_http(settings)
            built = (*built, memory(process))
            exported = exports.measure(settings, process)
            followed = follow.measure(settings, process)
        with cache_of(settings) as cache:
            measured = list(ours(cache))
        parquet = parquet_of(file, settings.home / "runs.parquet")
        peers.index(postgres.record_url(settings))
        pages = report(measured, http, others(settings, parquet))
    small = {generator.MEDIUM: sizes[generator.MEDIUM], "org-02": max(1, runs // 10 - sizes[generator.MEDIUM])}
    with platform.record(small) as settings:
        tenth = growth(settings)
    ratio = measured[-1][1] / tenth
    grown = f"From a tenth of the runs to all: {ratio:.2f} times as long for the organization of fixed size."
    head = (f"cache of {runs:,} runs", "built in", "file", "API's memory (PSS) then", "after the pages")
    return "\n\n".join((pages, grown, table(head, [("", *built)]), followed, exported))


def memory(process: psutil.Process) -> str:
    return f"{process.memory_full_info().pss / 1e6:.0f} MB"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=platform.RUNS)
    print(main(parser.parse_args().runs))
