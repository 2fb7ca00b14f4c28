"""A platform of ten million runs to measure on: its record, its running API, and someone who asks."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import psutil

from agent_analytics import store
from agent_analytics.client import Session
from agent_analytics.scope import Principal
from agent_analytics.serving import postgres, tokens
from agent_analytics.settings import Settings
from benchmarks import generator

PORT = 28800
RUNS = 10_000_000
SECONDS_TO_BUILD = 1200


@contextmanager
def record(organizations: Mapping[str, int]) -> Iterator[Settings]:
    """An installation of its own whose embedded record holds these organizations' runs, while it runs."""
    with tempfile.TemporaryDirectory(prefix="aa-bench-", dir="/tmp") as place:
        Path(place).chmod(0o711)
        settings = Settings(home=Path(place) / "home", port=PORT)
        with postgres.running(settings) as url:
            postgres.migrate(settings)
            generator.fill(url, organizations)
            yield settings


@contextmanager
def api(settings: Settings) -> Iterator[tuple[psutil.Process, float]]:
    """The API's process, and how many seconds it took until its cache was built."""
    command = [sys.executable, "-m", "agent_analytics.cli", "serve", "api"]
    variables = {"AGENT_ANALYTICS_HOME": str(settings.home), "AGENT_ANALYTICS_PORT": str(settings.port)}
    start = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, **variables}, stderr=subprocess.DEVNULL)
    try:
        _wait(settings)
        yield psutil.Process(process.pid), time.perf_counter() - start
    finally:
        process.terminate()
        process.wait(60)


def _wait(settings: Settings) -> None:
    deadline = time.monotonic() + SECONDS_TO_BUILD
    while time.monotonic() < deadline:
        try:
            if httpx2.get(f"{address(settings)}/health/ready", trust_env=False).status_code == 200:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.05)
    raise TimeoutError(f"The API was not ready within {SECONDS_TO_BUILD} seconds.")


def address(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings.port_of('api')}/services/api"


def token(settings: Settings, principal: Principal) -> str:
    return tokens.issue(settings.home, principal, datetime.now(UTC), seconds=86_400)


def session(settings: Settings, principal: Principal) -> Session:
    return Session(address(settings), lambda: token(settings, principal))


def reader(settings: Settings) -> store.Record:
    return store.Record(postgres.record_url(settings), settings.home)
