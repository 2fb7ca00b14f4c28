"""The whole behind one public port: provider, proxy, hub, API with its record, dashboards with their kernels."""

import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from identity.installation import Browser, Installation, running, wait_until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from agent_analytics.client import Session
from agent_analytics.errors import AgentAnalyticsError
from agent_analytics.organizations import set_organization
from agent_analytics.query import Query
from agent_analytics.serving import postgres
from agent_analytics.settings import Settings
from agent_analytics.store import Record

PROCESS = """
import importlib, json, sys
from pathlib import Path
from agent_analytics.serving import rhythm
name, told, times = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
for each, seconds in times.items():
    setattr(rhythm, each, seconds)
from agent_analytics.settings import Settings
importlib.import_module(f"agent_analytics.serving.{name}").main(Settings(**told | {"home": Path(told["home"])}))
"""
QUICK = {"CHECK_EVERY": 1, "REMEMBER": 1, "SWEEP_EVERY": 1, "TOKEN": 4, "BEARER": 1}


class Whole(Installation):
    """As `Installation`, with the real services; `times` replace the rhythm's."""

    def __init__(self, home: Path, times: dict[str, int]) -> None:
        super().__init__(home)
        self.times = times

    @contextmanager
    def running(self) -> Iterator["Whole"]:
        own = Settings(home=self.settings.home)
        with postgres.running(own) as self.database_url:
            postgres.migrate(own)
            with Record(self.database_url, own.home) as record:
                for organization in ("acme", "globex"):
                    set_organization(record, organization, timezone="UTC")
            with super().running():
                yield self

    def command(self, name: str) -> list[str]:
        told = {"home": str(self.settings.home), "port": self.settings.port, "oidc_issuer": self.settings.oidc_issuer}
        return [
            sys.executable,
            "-c",
            PROCESS,
            name,
            json.dumps(told | {"database_url": self.database_url}),
            json.dumps(self.times),
        ]

    @contextmanager
    def _running_service(self) -> Iterator[None]:
        with ExitStack() as stack:
            for name in ("api", "dashboards"):
                stack.enter_context(running(*self.command(name), log=self.settings.home / f"{name}.log"))
            ready = f"{self.settings.origin}/services/api/health/ready"
            wait_until(lambda: self.browser().get(ready).status_code == 200, self.settings.home / "api.log")
            yield

    def checked_at(self) -> int:
        """When the hub last heard of anybody."""
        with closing(sqlite3.connect(self.settings.home / "hub" / "hub.sqlite")) as database:
            (found,) = database.execute("select max(json_extract(user_info, '$.verified_at')) from users").fetchone()
        return found

    def access_token(self, persona: str) -> str:
        """As a machine client of the person gets one at the provider."""
        family = self.provider.grants.begin(persona, time.time())
        return self.provider.sign(self.provider.access_claims(self.people[persona], family), "at+jwt")

    def session(self, token: str) -> Session:
        return Session(f"{self.settings.origin}/services/api", lambda: token)


@dataclass
class Visit:
    """Everything that an organization's admin has open, and what a thief has copied of it."""

    whole: Whole
    browser: Browser
    kernel: str
    xsrf: str
    socket: ClientConnection
    kernel_token: str
    access_token: str

    @property
    def places(self) -> dict[str, Callable[[], bool]]:
        """Each way to the organization's data, and whether it leads there still."""
        thief = self.browser.copy()
        return {
            "page": lambda: _leads_in(self.browser),
            "stolen cookie": lambda: _leads_in(thief),
            "open page": lambda: self._reaches_kernel() == 200,
            "websocket": lambda: _is_open(self.socket),
            "token of a kernel": lambda: _answers(self.whole.session(self._newest_token())),
            "access token": lambda: _answers(self.whole.session(self.access_token)),
        }

    def _newest_token(self) -> str:
        """As a thief copies it, again and again while there is one."""
        for file in (self.whole.settings.home / "kernels" / self.kernel).glob("**/token"):
            with suppress(OSError):
                self.kernel_token = file.read_text()
        return self.kernel_token

    def wait_for_a_check(self) -> None:
        """Until the hub has just asked the provider: the worst moment for a change."""
        before = self.whole.checked_at()
        wait_until(lambda: self.whole.checked_at() > before, self.whole.log)

    def _reaches_kernel(self) -> int:
        headers = {"X-XSRFToken": self.xsrf, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
        return self.browser.client.get(f"/services/dashboards/api/kernels/{self.kernel}", headers=headers).status_code

    def ended(self, patience: float) -> dict[str, float]:
        """Seconds until each place leads nowhere, asked again and again."""
        start, places, found = time.monotonic(), self.places, dict[str, float]()
        while len(found) < len(places):
            for name, leads in places.items():
                if name not in found and not leads():
                    found[name] = round(time.monotonic() - start, 1)
            assert time.monotonic() - start < patience, (found, self.whole.log.read_text()[-3000:])
            time.sleep(0.2)
        return found


def _leads_in(browser: Browser) -> bool:
    answer = browser.get("/services/dashboards/")
    return answer.headers.get("location", "") == "/services/dashboards/organization"


def _is_open(socket: ClientConnection) -> bool:
    try:
        while True:
            socket.recv(timeout=0)
    except TimeoutError:
        return True
    except ConnectionClosed:
        return False


def _answers(session: Session) -> bool:
    try:
        return session.answer(Query(("runs",))).reason == "You see all of acme because you administer it."
    except AgentAnalyticsError:
        return False


def visit(whole: Whole, persona: str) -> Visit:
    """Sign in, open the page, connect to its kernel, and copy every token."""
    browser = whole.signed_in(persona)
    html = browser.open("/services/dashboards/organization").text
    state: dict[str, Any] = json.loads(
        html.partition('id="aa-state" type="application/json">')[2].partition("</script>")[0]
    )
    kernel = state["kernel"]
    url = f"{whole.settings.origin}/services/dashboards/api/kernels/{kernel}/channels".replace("http", "ws", 1)
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.client.cookies.jar)
    socket = connect(url, additional_headers={"Cookie": cookies}, proxy=None)
    (token,) = (whole.settings.home / "kernels" / kernel).glob("**/token")
    opened = Visit(whole, browser, kernel, state["token"], socket, token.read_text(), whole.access_token(persona))
    open_now = {name: leads() for name, leads in opened.places.items()}
    assert open_now == dict.fromkeys(open_now, True)
    return opened
