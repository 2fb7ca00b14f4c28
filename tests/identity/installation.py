"""A running installation to sign in to: the demo's provider, the real proxy, the real hub, and a small service."""

import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import uvicorn

from agent_analytics import keys
from agent_analytics.demo.people import PERSONAS, Persona
from agent_analytics.demo.provider import Provider
from agent_analytics.scope import Principal
from agent_analytics.settings import Settings

NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none", "Accept": "text/html"}
HUB = """
import sys
from datetime import datetime, timedelta
from pathlib import Path
from agent_analytics.serving import hub, rhythm
from agent_analytics.settings import Settings
hub.SECONDS_BETWEEN_CHECKS = 1
rhythm.SWEEP_EVERY = 1
ahead = Path(sys.argv[1]) / "ahead"
class Clock(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + timedelta(minutes=20 if ahead.exists() else 0)
hub.datetime = Clock
hub.main(Settings(home=Path(sys.argv[1]), port=int(sys.argv[2]), oidc_issuer=sys.argv[3]))
"""
PROXY = """
import sys
from pathlib import Path
from agent_analytics.serving import proxy
from agent_analytics.settings import Settings
proxy.main(Settings(home=Path(sys.argv[1]), port=int(sys.argv[2])))
"""


class FickleProvider(Provider):
    """The demo's provider, which can be told to say something else of a person, and counts what it said."""

    instead: dict[str, Any] = {}  # noqa: RUF012
    said = 0

    def identity_claims(self, persona: Persona, family: str, nonce: str | None) -> dict[str, Any]:
        self.said += 1
        claims = super().identity_claims(persona, family, nonce) | self.instead
        return {name: value for name, value in claims.items() if value is not None}


class Installation:
    """Its people, and how far the provider's clock is ahead, can be changed by a test; parts can be taken away."""

    def __init__(self, home: Path) -> None:
        port = free_ports(7)
        self.settings = Settings(home=home, port=port, oidc_issuer=f"http://127.0.0.1:{port + 5}")
        self.people = {persona.key: persona for persona in PERSONAS}
        self.ahead = 0.0
        self.log = home / "hub.log"
        self.provider: FickleProvider
        self.hub: subprocess.Popen[bytes]
        self._server: uvicorn.Server
        self._thread: threading.Thread

    @contextmanager
    def running(self) -> Iterator["Installation"]:
        with ExitStack() as stack:
            self.start_provider()
            stack.callback(self.stop_provider)
            stack.enter_context(running(sys.executable, "-c", PROXY, *self._arguments(), log=self.log))
            stack.enter_context(self._running_service())
            stack.callback(self.stop_hub)
            self.start_hub()
            yield self

    def _arguments(self) -> list[str]:
        return [str(self.settings.home), str(self.settings.port), str(self.settings.oidc_issuer)]

    def command(self, name: str) -> list[str]:
        """How the hub starts."""
        return [sys.executable, "-c", HUB, *self._arguments()]

    def start_hub(self) -> None:
        with self.log.open("ab") as log:
            self.hub = subprocess.Popen(self.command("hub"), stdout=log, stderr=log, cwd=self.settings.home)
        wait_until(lambda: httpx2.get(f"{self.settings.origin}/hub/api/").status_code == 200, self.log)
        wait_until(lambda: self.browser().get("/services/dashboards/").status_code == 302, self.log)

    def stop_hub(self) -> None:
        self.hub.terminate()
        self.hub.wait(30)

    def kill_hub(self) -> None:
        self.hub.kill()
        self.hub.wait(30)

    def start_provider(self) -> None:
        self.provider = FickleProvider(self.settings, self.people, lambda: time.time() + self.ahead)
        config = uvicorn.Config(
            self.provider.application(),
            port=self.settings.port_of("provider"),
            log_level="warning",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        wait_until(lambda: self._server.started, self.log)

    def stop_provider(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self.provider.grants.close()

    @contextmanager
    def provider_down(self) -> Iterator[None]:
        self.stop_provider()
        try:
            yield
        finally:
            self.start_provider()

    def _running_service(self) -> Any:
        """With exactly the variables that a service needs."""
        environment = {
            "JUPYTERHUB_SERVICE_NAME": "dashboards",
            "JUPYTERHUB_SERVICE_PREFIX": "/services/dashboards/",
            "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{self.settings.port_of('dashboards')}",
            "JUPYTERHUB_API_TOKEN": keys.secret(self.settings.home, "service-dashboards"),
            "JUPYTERHUB_API_URL": f"http://127.0.0.1:{self.settings.port_of('hub')}/hub/api",
            "JUPYTERHUB_BASE_URL": "/",
            "JUPYTERHUB_CLIENT_ID": "service-dashboards",
            "JUPYTERHUB_OAUTH_CALLBACK_URL": f"{self.settings.origin}/services/dashboards/oauth_callback",
        }
        script = Path(__file__).with_name("whoami_service.py")
        return running(sys.executable, script, log=self.settings.home / "service.log", env=environment)

    def browser(self) -> "Browser":
        return Browser(self.settings.origin)

    def signed_in(self, persona: str) -> "Browser":
        browser = self.browser()
        assert browser.sign_in(persona).status_code == 200
        return browser


class Browser:
    """A browser without scripts: cookies, redirects, the picker's buttons."""

    def __init__(self, origin: str, cookies: httpx2.Cookies | None = None) -> None:
        self.client = httpx2.Client(base_url=origin, headers=NAVIGATION, cookies=cookies, timeout=30)
        self.origin = origin

    def get(self, url: str) -> httpx2.Response:
        """One answer, redirects not followed."""
        return self.client.get(url)

    def follow(self, response: httpx2.Response, until: str = "") -> httpx2.Response:
        """What a redirect leads to; with `until`, the redirect whose target begins so."""
        for _ in range(20):
            location = response.headers.get("location", "")
            if not response.has_redirect_location or (until and location.startswith(until)):
                return response
            response = self.client.get(httpx2.URL(str(response.url)).join(location))
        raise AssertionError("too many redirects")

    def open(self, url: str) -> httpx2.Response:
        return self.follow(self.get(url))

    def press(self, picker: httpx2.Response, persona: str) -> httpx2.Response:
        """The provider's redirect to our callback, not yet followed."""
        assert f'data-persona="{persona}"' in picker.text
        return self.client.post(str(picker.url), data={"persona": persona})

    def sign_in(self, persona: str, to: str = "/services/dashboards/") -> httpx2.Response:
        return self.follow(self.press(self.open(to), persona))

    def who(self) -> dict[str, Any] | None:
        """Whom the service sees, or None for nobody."""
        response = self.open("/services/dashboards/")
        return response.json() if response.headers["content-type"].startswith("application/json") else None

    def principal(self) -> Principal | None:
        who = self.who()
        return who and Principal.from_json(who["user_info"]["agent_analytics"])

    def copy(self) -> "Browser":
        """A thief's, with every cookie of this one."""
        copied = httpx2.Cookies()
        for cookie in self.client.cookies.jar:
            copied.jar.set_cookie(cookie)
        return Browser(self.origin, copied)


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


@contextmanager
def running(*command: Any, log: Path, env: dict[str, str] | None = None) -> Iterator[None]:
    with log.open("ab") as output:
        process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=output, env=env)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def wait_until(holds: Callable[[], bool], log: Path, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if holds():
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(log.read_text() if log.exists() else "no log")


def free_ports(count: int) -> int:
    """The first of some ports in a row that nobody uses, below those that outgoing connections get."""
    for first in random.sample(range(12000, 19000, count), 100):
        with ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first
    raise AssertionError("no free ports")
