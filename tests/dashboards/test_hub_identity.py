"""What the hub says of a person, and what becomes of their kernels when it says something else, or nothing."""

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from dashboards.house import ADMIN, free_ports
from traitlets.config import Config

from agent_analytics.scope import Principal
from agent_analytics.serving import hub_identity
from agent_analytics.serving.hub_identity import HubIdentity
from agent_analytics.serving.kernels import Owner
from agent_analytics.settings import Settings

ADA = Owner("acme-0123", ADMIN, "the-session")
ANSWER: dict[str, Any] = {"name": "acme-0123", "user_info": {"agent_analytics": ADMIN.to_json()}, "scopes": []}


class Hub(BaseHTTPRequestHandler):
    """Says of whoever bears `the-session` what `reply` is."""

    reply: tuple[int, dict[str, Any]] = (200, ANSWER)

    def do_GET(self) -> None:
        known = self.headers["Authorization"] == "token the-session" and self.path == "/hub/api/user"
        status, body = self.reply if known else (403, {})
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def identity(tmp_path: Path) -> Iterator[HubIdentity]:
    settings = Settings(home=tmp_path, port=free_ports(7))
    server = ThreadingHTTPServer(("127.0.0.1", settings.port_of("hub")), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = Config()
    hub_identity.configure(config, settings)
    yield HubIdentity(config=config)
    server.shutdown()
    server.server_close()


def still(identity: HubIdentity, owner: Owner = ADA) -> bool:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(identity.still(owner))).result()


def changed(**fields: Any) -> dict[str, Any]:
    return {**ANSWER, "user_info": {"agent_analytics": {**ADMIN.to_json(), **fields}}}


OTHERWISE = {
    "demoted": (200, changed(role="MEMBER")),
    "moved": (200, changed(organization="globex")),
    "another person": (200, {**ANSWER, "name": "acme-4567"}),
    "without claims": (200, {"name": "acme-0123", "scopes": []}),
    "without a role": (200, changed(role="OWNER")),
    "signed out": (403, {}),
}


def test_the_same_person_stays(identity: HubIdentity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "reply", (200, ANSWER))
    assert still(identity)


@pytest.mark.parametrize("reply", OTHERWISE.values(), ids=OTHERWISE)
def test_whoever_has_changed_does_not(
    identity: HubIdentity, monkeypatch: pytest.MonkeyPatch, reply: tuple[int, dict[str, Any]]
) -> None:
    monkeypatch.setattr(Hub, "reply", reply)
    assert not still(identity)


def test_a_session_that_the_hub_does_not_know_does_not(identity: HubIdentity) -> None:
    assert not still(identity, Owner(ADA.name, ADA.principal, "another-session"))


def test_while_the_hub_is_down_nobody_is_thrown_out(identity: HubIdentity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "reply", (500, {}))
    assert still(identity)
    identity.hub_auth.api_url = f"http://127.0.0.1:{free_ports(1)}/hub/api"
    assert still(identity)


def test_an_owner_is_the_name_and_every_claim() -> None:
    assert Owner("acme-0123", ADMIN, "another session") == ADA
    assert Owner("acme-0123", Principal("ORG_ADMIN", "acme", "ada", teams=("Search",), name="Ada Lovelace")) != ADA
    assert "the-session" not in repr(ADA)
