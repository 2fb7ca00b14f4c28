"""A small installation to look at: a real record, the real API and the real pages' service, each a process."""

import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from agent_analytics.scope import Principal
from agent_analytics.settings import Settings

PREFIX = "/services/dashboards/"
ADMIN = Principal("ORG_ADMIN", "acme", "ada", name="Ada Lovelace")
STRANGER = Principal("ORG_ADMIN", "globex", "eve", name="Eve")
MEMBER = Principal("MEMBER", "acme", "bo", name="Bo")
API = """
import os, sys
from pathlib import Path
from agent_analytics.serving.api import main
from agent_analytics.settings import Settings
main(Settings(home=Path(sys.argv[1]), port=int(sys.argv[2]), database_url=os.environ["DATABASE"]))
"""
SERVICE = Path(__file__).with_name("service.py")


@dataclass
class House:
    """`service` and `api` can be stopped and started by a test; `log` has what both say.

    `options` are settings of the service, and what `service.py` takes besides.
    """

    home: Path
    database_url: str
    port: int = field(default_factory=lambda: free_ports(7))
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home, port=self.port, database_url=self.database_url)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.settings.port_of('dashboards')}"

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.settings.port_of('api')}/services/api"

    @property
    def log(self) -> Path:
        return self.home / "log"

    def start_api(self) -> None:
        self._start("api", "-c", API, str(self.home), str(self.port), DATABASE=self.database_url)
        wait_for(lambda: answers(f"{self.api_url}/health/ready", 200), self.log)

    def start_service(self) -> None:
        words = str(SERVICE), str(self.home), str(self.port), json.dumps(self.options)
        self._start("service", *words, SECRET="canary-of-the-environment")
        wait_for(lambda: answers(self.origin + PREFIX, 302), self.log)

    def _start(self, name: str, *words: str, **variables: str) -> None:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), **variables}
        self.log.touch(mode=0o600)
        with self.log.open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, *words], stdout=log, stderr=log, cwd=self.home, env=environment
            )

    def stop(self, name: str) -> int:
        self.running[name].terminate()
        return self.running[name].wait(30)

    def stop_all(self) -> None:
        for name in self.running:
            self.stop(name)

    def url(self, path: str = "") -> str:
        return self.origin + PREFIX + path

    def entrance(self, principal: Principal | None) -> str:
        """Where a browser becomes this person, and is led to their page; None has no claims that we know."""
        who = {"user": "nobody"} if principal is None else principal.to_json()
        return self.url(f"enter?{urlencode({'as': json.dumps(who)})}")

    @contextmanager
    def client(self, principal: Principal | None) -> Iterator[httpx2.Client]:
        """A signed-in client that is no browser."""
        with httpx2.Client(base_url=self.url(), timeout=60) as client:
            client.get(self.entrance(principal))
            yield client

    def open(self, client: httpx2.Client) -> "Opened":
        """The page as a client that is no browser gets it."""
        html = client.get("organization").raise_for_status().text
        state = json.loads(html.partition('id="aa-state" type="application/json">')[2].partition("</script>")[0])
        return Opened(client, f"api/kernels/{state['kernel']}", state["kernel"], state["token"], state["states"])

    def kernels(self) -> list[Path]:
        """The private directories of the kernels that run."""
        return sorted(directory for directory in (self.home / "kernels").iterdir() if directory.is_dir())

    def kernel_processes(self) -> list[int]:
        """The process numbers of the kernels that run, by their homes."""
        return [pid for pid in _processes() if str(self.home / "kernels") in _home_of(pid)]


@dataclass
class Opened:
    """An open page: its kernel's path and id, its XSRF token, its widgets' states."""

    client: httpx2.Client
    path: str
    kernel: str
    token: str
    states: dict[str, dict[str, Any]]

    def ask(self, method: str, path: str | None = None) -> int:
        """The status of a request for a kernel, this page's own or another's, with this page's token."""
        return self.client.request(method, path or self.path, headers={"X-XSRFToken": self.token}).status_code

    def websocket(self, path: str | None = None, origin: str | None = None) -> ClientConnection:
        """A connection to a kernel; raises InvalidStatus where it is refused."""
        url = str(self.client.base_url.join(f"{path or self.path}/channels")).replace("http", "ws", 1)
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.client.cookies.jar)
        own = {"Cookie": cookies}
        # Without a bound on what waits to be read, closing needs not wait for it.
        return connect(
            url, additional_headers=own, origin=Origin(origin) if origin else None, proxy=None, max_queue=None
        )


def _processes() -> list[int]:
    return [int(directory.name) for directory in Path("/proc").glob("[0-9]*")]


def _home_of(pid: int) -> str:
    return environment_of(pid).get("HOME", "")


def environment_of(pid: int) -> dict[str, str]:
    """What a process was started with; nothing where it is gone or not ours."""
    try:
        words = Path(f"/proc/{pid}/environ").read_text().split("\0")
    except OSError:
        return {}
    return dict(word.split("=", 1) for word in words if "=" in word)


def wait_for(condition: Callable[[], Any], log: Path | None = None, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, log.read_text()[-3000:] if log else "waited in vain"
        time.sleep(0.05)


def answers(url: str, status: int) -> bool:
    try:
        return httpx2.get(url).status_code == status
    except httpx2.HTTPError:
        return False


def free_ports(count: int) -> int:
    """A port that is free together with those after it."""
    while True:
        first = random.randrange(10000, 11990 - count)
        if all(_is_free(port) for port in range(first, first + count)):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
