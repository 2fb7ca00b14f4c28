"""The API over real HTTP, in a thread of the test's own process."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import uvicorn

from agent_analytics.serving.api.app import create
from agent_analytics.serving.api.engines import Engines
from agent_analytics.settings import Settings


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """Its address, once its cache follows the record."""
    assert settings.database_url
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        app = create(Engines.open(settings.database_url, settings.home), settings)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/services/api"
        wait_for(lambda: server.started and httpx2.get(f"{url}/health/ready").status_code == 200)
        yield url
        server.should_exit = True
        thread.join()


def wait_for(condition: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
