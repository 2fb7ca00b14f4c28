"""What the hub says of a person, and what becomes of their kernels when it says something else, or nothing."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from dashboards.house import ADMIN, free_ports
from traitlets.config import Config

from agent_analytics.scope import Principal
from agent_analytics.serving import hub_identity, rhythm
from agent_analytics.serving.hub_identity import HubIdentity
from agent_analytics.serving.kernels import Owner
from agent_analytics.settings import Settings

NOW = datetime(2026, 3, 30, 12, tzinfo=UTC)
ADA = Owner("acme-0123", ADMIN, "the-session", NOW, NOW + timedelta(minutes=15))
TIMES = {"verified_at": NOW.timestamp(), "valid_until": NOW.timestamp() + 900}
INFO: dict[str, Any] = {"agent_analytics": ADMIN.to_json(), **TIMES}
ANSWER: dict[str, Any] = {"name": "acme-0123", "user_info": INFO, "scopes": []}


class Hub(BaseHTTPRequestHandler):
    """Says of whoever bears `the-session` what `reply` is."""

    reply: tuple[int, dict[str, Any]] = (200, ANSWER)
    wait = 0.0

    def do_GET(self) -> None:
        time.sleep(self.wait)
        known = self.headers["Authorization"] == "token the-session" and self.path == "/hub/api/user"
        status, body = self.reply if known else (403, {})
        self.send_response(status)
        self.end_headers()
        with suppress(BrokenPipeError):
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


def still(identity: HubIdentity, owner: Owner = ADA, now: datetime = NOW) -> Owner | None:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(identity.still(owner, now))).result()


def changed(**fields: Any) -> dict[str, Any]:
    return {**ANSWER, "user_info": {**INFO, "agent_analytics": {**ADMIN.to_json(), **fields}}}


OTHERWISE = {
    "demoted": (200, changed(role="MEMBER")),
    "moved": (200, changed(organization="globex")),
    "another person": (200, {**ANSWER, "name": "acme-4567"}),
    "never verified": (200, {**ANSWER, "user_info": {"agent_analytics": ADMIN.to_json()}}),
    "without claims": (200, {"name": "acme-0123", "scopes": []}),
    "without a role": (200, changed(role="OWNER")),
    "signed out": (403, {}),
}


def test_the_same_person_stays(identity: HubIdentity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "reply", (200, ANSWER))
    assert still(identity) == ADA


def test_when_they_were_verified_last_is_known_from_then_on(
    identity: HubIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = NOW + timedelta(seconds=20)
    info = {**INFO, "verified_at": later.timestamp(), "valid_until": later.timestamp() + 900}
    monkeypatch.setattr(Hub, "reply", (200, {**ANSWER, "user_info": info}))
    found = still(identity)
    assert found
    assert (found.verified_at, found.valid_until) == (later, later + timedelta(minutes=15))


@pytest.mark.parametrize("reply", OTHERWISE.values(), ids=OTHERWISE)
def test_whoever_has_changed_does_not(
    identity: HubIdentity, monkeypatch: pytest.MonkeyPatch, reply: tuple[int, dict[str, Any]]
) -> None:
    monkeypatch.setattr(Hub, "reply", reply)
    assert not still(identity)


def test_a_session_that_the_hub_does_not_know_does_not(identity: HubIdentity) -> None:
    assert not still(identity, Owner(ADA.name, ADA.principal, "another-session"))


@pytest.mark.parametrize("fault", ["fails", "is gone", "hangs"])
def test_while_the_hub_is_down_everybody_stays_until_their_rights_are_too_old(
    identity: HubIdentity, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(Hub, "reply", (500, {}))
    monkeypatch.setattr(rhythm, "SWEEP_PATIENCE", 0.2)
    if fault == "hangs":
        monkeypatch.setattr(Hub, "wait", 1)
    if fault == "is gone":
        identity.hub_auth.api_url = f"http://127.0.0.1:{free_ports(1)}/hub/api"
    for minutes in (0, 14):
        found = still(identity, now=NOW + timedelta(minutes=minutes))
        assert found
        assert found.verified_at == NOW
    assert still(identity, now=NOW + timedelta(minutes=15)) is None


def test_an_owner_is_the_name_and_every_claim() -> None:
    assert Owner("acme-0123", ADMIN, "another session") == ADA
    assert Owner("acme-0123", Principal("ORG_ADMIN", "acme", "ada", teams=("Search",), name="Ada Lovelace")) != ADA
    assert "the-session" not in repr(ADA)
