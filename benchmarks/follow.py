"""How soon a committed run is in an answer, while 1,000 runs a second are taken in on top of ten million.

A part of `python -m benchmarks.answers`. Every tenth of a second 100 runs are ingested and committed,
three in four of them for the busiest day of the largest organization, the others for other organizations; somebody
asks the API all the while up to which instant its answers count. The API reads its cache's pieces again meanwhile.
"""

import random
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from statistics import median, quantiles
from typing import Any

import httpx2
import psutil

from agent_analytics.ingest import from_dicts, ingest_runs
from agent_analytics.scope import Principal
from agent_analytics.settings import Settings
from benchmarks import generator, platform
from benchmarks.table import table

BATCH, EVERY = 100, 0.1
START = datetime.combine(generator.END - timedelta(days=1), datetime.min.time(), UTC)
Seconds = float


def batch(draw: random.Random, number: int) -> Iterator[dict[str, Any]]:
    """Runs of one organization: a transaction, as a platform sends them."""
    organization = generator.LARGEST if draw.random() < 0.75 else f"org-{draw.randrange(2, 21):02}"
    for position in range(BATCH):
        started_at = START + timedelta(seconds=draw.randrange(80_000))
        yield {
            "organization": organization,
            "run_id": f"new-{number}-{position}",
            "user": f"user-{draw.randrange(50):04}@{organization}.example",
            "team": f"team-{draw.randrange(3):02}",
            "agent_type": "agent-01",
            "status": "succeeded",
            "started_at": started_at,
            "ended_at": started_at + timedelta(seconds=draw.randrange(1, 600)),
            "model": "model-a",
            "input_tokens": draw.randrange(10_000),
            "output_tokens": draw.randrange(1_000),
            "cost": "0.01",
        }


class Watch(threading.Thread):
    """Asks for the freshness, and remembers when which instant was reached."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self._settings = settings
        self.seen: list[tuple[float, datetime]] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        token = platform.token(self._settings, Principal("ORG_ADMIN", generator.LARGEST))
        headers = {"authorization": f"Bearer {token}"}
        with httpx2.Client(base_url=platform.address(self._settings), headers=headers, trust_env=False) as client:
            while not self.stopping.is_set():
                as_of = datetime.fromisoformat(client.get("/v1/freshness").json()["as_of"])
                self.seen.append((time.time(), as_of))
                self.stopping.wait(0.02)

    def waited(self, committed: float) -> Seconds | None:
        instant = datetime.fromtimestamp(committed, UTC)
        return next((at - committed for at, as_of in self.seen if as_of >= instant), None)


def commits(settings: Settings, seconds: int) -> list[float]:
    """When each batch was committed."""
    draw, found = random.Random(11), []
    with platform.reader(settings) as record:
        start = time.monotonic()
        for number in range(int(seconds / EVERY)):
            time.sleep(max(0.0, start + number * EVERY - time.monotonic()))
            ingest_runs(record, [from_dicts("new", batch(draw, number))])
            found.append(time.time())
    return found


def watched(settings: Settings, seconds: int) -> tuple[list[Seconds], float]:
    """How long each commit took to be seen, and how many runs a second were taken in."""
    watch = Watch(settings)
    watch.start()
    start = time.monotonic()
    committed = commits(settings, seconds)
    rate = len(committed) * BATCH / (time.monotonic() - start)
    time.sleep(10)
    watch.stopping.set()
    watch.join()
    waited = [watch.waited(each) for each in committed]
    assert None not in waited, "A commit was never seen."
    return [each for each in waited if each is not None], rate


def measure(settings: Settings, process: psutil.Process, seconds: int = 60) -> str:
    """As a table, with what following costs the API."""
    before = process.memory_full_info().pss
    waited, rate = watched(settings, seconds)
    memory = process.memory_full_info().pss
    file = (settings.home / "cache" / "runs.duckdb").stat().st_size
    p99 = quantiles(waited, n=100)[98]
    head = (
        "committed → in an answer",
        "median, s",
        "p99, s",
        "most, s",
        "runs/s",
        "API's memory before, after",
        "file",
    )
    figures = (f"{median(waited):.2f}", f"{p99:.2f}", f"{max(waited):.2f}", f"{rate:,.0f}")
    return table(head, [("", *figures, f"{before / 1e6:.0f}, {memory / 1e6:.0f} MB", f"{file / 1e6:.0f} MB")])
