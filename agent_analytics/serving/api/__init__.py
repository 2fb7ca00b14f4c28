"""The API: a FastAPI application that owns the cache. `agent-analytics serve api` runs it."""

import logging
import time

import uvicorn

from agent_analytics.cache import CacheInUse
from agent_analytics.serving import postgres
from agent_analytics.serving.api.app import create
from agent_analytics.serving.api.engines import Engines
from agent_analytics.serving.watchdog import Watchdog
from agent_analytics.settings import Settings

WAIT_SECONDS = 120


def main(settings: Settings) -> None:
    """Wait for the record, then serve until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    engines = _open(settings)
    engines.record.wait(WAIT_SECONDS)
    app = create(engines, settings)
    with Watchdog(postgres.record_url(settings), settings.sql_seconds):
        uvicorn.run(
            app,
            host="127.0.0.1",
            port=settings.port_of("api"),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )


def _open(settings: Settings) -> Engines:
    """A command may hold the cache for the seconds it takes to answer."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return Engines.open(postgres.record_url(settings), settings.home)
        except CacheInUse:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
