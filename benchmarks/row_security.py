"""What row security costs a query: the same statements by a superuser, whom no policy touches, the service, and people.

The superuser is told in the statement what the policies add. All take turns in one run, and find the same rows.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from agent_analytics import store
from agent_analytics.scope import Principal
from agent_analytics.serving import logins, postgres
from agent_analytics.settings import Settings
from benchmarks import generator, platform
from benchmarks.table import table

RUNS = 300_000
ROUNDS = 11
WORKERS = {"one process each": 0, "as the planner likes, two workers at most": 2}
ORGANIZATION = generator.LARGEST
TEAMS = ("team-00", "team-01")
ADMIN = Principal("ORG_ADMIN", ORGANIZATION)
LEAD = Principal("TEAM_LEAD", ORGANIZATION, f"user-0003@{ORGANIZATION}.example", TEAMS)
WITHIN = f"organization = '{ORGANIZATION}'"
LEADS = f"""{WITHIN} and (team in ('{"', '".join(TEAMS)}') or "user" = '{LEAD.user}')"""
RECENT = f"started_at >= '{generator.END - timedelta(days=90)}'"
FIGURES = "count(*), sum(cost), sum(input_tokens), count(*) filter (where status = 'failed')"
STATEMENTS: Mapping[str, str] = {
    "totals of all runs": f"select {FIGURES} from analytics.runs where {{}}",
    "totals of 90 days": f"select {FIGURES} from analytics.runs where {{}} and {RECENT}",
    "by agent type and model": f"select agent_type, model, {FIGURES} from analytics.runs where {{}} group by 1, 2",
    "by local day": f"select day, {FIGURES} from analytics.local_runs where {{}} group by 1",
    "quantiles of 90 days": "select percentile_cont(array[0.5, 0.95]) within group (order by duration_us)"
    f" from analytics.local_runs where {{}} and {RECENT}",
    "the latest 50 runs": "select run_id, cost from analytics.runs where {} order by started_at desc, run_id limit 50",
}
Connection = psycopg.Connection[Any]
# Who asks, what the statement says of the rows, and for whom the superuser's statement is the measure.
ASKERS = {
    "superuser": (WITHIN, WITHIN),
    "service": (WITHIN, WITHIN),
    "org admin's login": ("true", WITHIN),
    "superuser, a lead's rows": (LEADS, LEADS),
    "team lead's login": ("true", LEADS),
}


@contextmanager
def connections(settings: Settings) -> Iterator[dict[str, Connection]]:
    url, passwords = postgres.record_url(settings), store.passwords(settings.home)
    people = [logins.issue(url, principal, datetime.now(UTC), 86_400) for principal in (ADMIN, LEAD)]
    service = store.account_url(url, store.SERVICE, passwords[store.SERVICE])
    urls = (url, service, people[0].url(settings), url, people[1].url(settings))
    with ExitStack() as stack:
        opened = {
            name: stack.enter_context(psycopg.connect(each, autocommit=True))
            for name, each in zip(ASKERS, urls, strict=True)
        }
        opened["service"].execute("select set_config('app.organization', %s, false)", [ORGANIZATION])
        yield opened


def measure(opened: Mapping[str, Connection], statement: str) -> dict[str, float]:
    """The median milliseconds of each asker."""
    taken: dict[str, list[float]] = {name: [] for name in ASKERS}
    found: dict[str, list[Any]] = {}
    for _ in range(ROUNDS + 1):
        for name, connection in opened.items():
            start = time.perf_counter()
            found[name] = connection.execute(statement.format(ASKERS[name][0])).fetchall()
            taken[name].append((time.perf_counter() - start) * 1000)
    for name, (_, same) in ASKERS.items():
        measure_of = next(other for other, (said, _) in ASKERS.items() if said == same)
        assert sorted(found[name], key=str) == sorted(found[measure_of], key=str), name
    return {name: statistics.median(each[1:]) for name, each in taken.items()}


def report(measured: Mapping[str, Mapping[str, float]]) -> str:
    """Milliseconds of the superuser, and how many times as long the others take."""
    pairs = (
        ("service", "superuser"),
        ("org admin's login", "superuser"),
        ("team lead's login", "superuser, a lead's rows"),
    )
    rows = [
        (name, f"{times['superuser']:.1f}", *(f"{times[asker] / times[base]:.2f}" for asker, base in pairs))
        for name, times in measured.items()
    ]
    medians = (statistics.median(times[asker] / times[base] for times in measured.values()) for asker, base in pairs)
    head = ("statement", "no row security, ms", *(f"{asker}, times as long" for asker, _ in pairs))
    return table(head, [*rows, ("**median**", "", *(f"**{each:.2f}**" for each in medians))])


def main(runs: int = RUNS) -> str:
    with platform.record(generator.sizes(runs)) as settings, connections(settings) as opened:
        return "\n\n".join(f"With {name}:\n\n{compare(opened, workers)}" for name, workers in WORKERS.items())


def compare(opened: Mapping[str, Connection], workers: int) -> str:
    for connection in opened.values():
        connection.execute("select set_config('max_parallel_workers_per_gather', %s, false)", [str(workers)])
    return report({name: measure(opened, statement) for name, statement in STATEMENTS.items()})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS)
    print(main(parser.parse_args().runs))
