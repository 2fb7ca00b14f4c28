"""A certified provider, npm's `oidc-provider`, judges how we sign people in, follow their claims, and sign them out."""

import asyncio
import base64
import hashlib
import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from identity.installation import Browser, Installation, query_of, wait_until
from identity.test_sessions import STALE, eventually
from joserfc.jwk import RSAKey

from agent_analytics import keys
from agent_analytics.errors import Forbidden
from agent_analytics.scope import Principal
from agent_analytics.serving.machine_clients import MachineClients

JUDGE = Path(__file__).with_name("judge")
ADA = {"organization": "acme", "role": "TEAM_LEAD", "teams": ["Search"], "name": "Ada", "email": "ada@acme.example.com"}
PRINCIPAL = Principal("TEAM_LEAD", "acme", "ada", ("Search",), "ada@acme.example.com", "Ada")
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


class Judged(Installation):
    """As `Installation`, with the judge in the demo provider's place."""

    def start_provider(self) -> None:
        program = JUDGE / "node_modules" / ".node"
        assert program.exists(), "The judge is not installed: sh scripts/judge.sh"
        settings = self.settings
        told = {
            "issuer": settings.oidc_issuer,
            "port": settings.port_of("provider"),
            "key": RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256", "kid": "judge"}).as_dict(private=True),
            "people": {"ada": ADA},
            "client": {
                "client_id": settings.oidc_client_id,
                "client_secret": keys.secret(settings.home, "oidc-client-secret"),
                "redirect_uris": [f"{settings.origin}/hub/oauth_callback"],
                "post_logout_redirect_uris": [f"{settings.origin}/hub/logout"],
                "grant_types": ["authorization_code", "refresh_token"],
            },
        }
        command = [program.read_text().strip(), "server.mjs", json.dumps(told)]
        with self.log.open("ab") as log:
            self.node = subprocess.Popen(command, cwd=JUDGE, stdout=log, stderr=log)
        discovery = f"{settings.oidc_issuer}/.well-known/openid-configuration"
        wait_until(lambda: httpx2.get(discovery).status_code == 200, self.log)

    def stop_provider(self) -> None:
        self.node.terminate()
        self.node.wait(30)

    def tell(self, **people: Any) -> None:
        """What the judge says of people from now on."""
        httpx2.put(f"{self.settings.oidc_issuer}/people", json=people).raise_for_status()

    def signed_in(self, persona: str) -> Browser:
        browser = self.browser()
        assert sign_in(browser, browser.open("/services/dashboards/"), persona).status_code == 200
        return browser


def sign_in(browser: Browser, form: httpx2.Response, who: str) -> httpx2.Response:
    assert "/interaction/" in str(form.url), form.text
    data = {"prompt": "login", "login": who, "password": "any"}
    return browser.follow(browser.client.post(str(form.url), data=data))


@pytest.fixture(scope="module")
def _judged() -> Iterator[Judged]:
    with tempfile.TemporaryDirectory(prefix="aa-judge-") as home, Judged(Path(home)).running() as judged:
        yield judged  # type: ignore[misc]


@pytest.fixture
def judged(_judged: Judged) -> Iterator[Judged]:
    yield _judged
    _judged.tell(ada=ADA)


def test_signing_in(judged: Judged) -> None:
    assert judged.signed_in("ada").principal() == PRINCIPAL


def test_who_the_claims_make_nobody_is_refused(judged: Judged) -> None:
    judged.tell(ada=ADA | {"role": "SUPERUSER"})
    browser = judged.browser()
    assert sign_in(browser, browser.open("/services/dashboards/"), "ada").status_code == 403


def test_each_refresh_token_is_used_once_and_claims_are_followed(judged: Judged) -> None:
    """The judge ends the whole sign-in when a refresh token comes twice."""
    browser = judged.signed_in("ada")
    for teams in (["Search", "Growth"], ["Growth"], []):
        time.sleep(STALE)
        judged.tell(ada=ADA | {"teams": teams})
        eventually(lambda teams=teams: (now := browser.principal()) and now.teams == tuple(teams))


def test_who_is_gone_at_the_provider_is_signed_out(judged: Judged) -> None:
    browser = judged.signed_in("ada")
    judged.tell(ada=None)
    eventually(lambda: browser.who() is None)


def test_who_moves_is_somebody_else_by_the_next_sign_in(judged: Judged) -> None:
    """Which is silent here: the judge remembers them."""
    browser = judged.signed_in("ada")
    before = browser.who()
    judged.tell(ada=ADA | {"organization": "globex"})
    eventually(lambda: (now := browser.principal()) and now.organization == "globex")
    assert (before or {})["name"] != (browser.who() or {})["name"]


def test_signing_out_ends_the_session_there_too_and_leads_back(judged: Judged) -> None:
    browser = judged.signed_in("ada")
    thief = browser.copy()
    asked = browser.open("/hub/logout")
    assert asked.url.path == "/session/end"
    form = dict(re.findall(r'name="(\w+)" value="(\w+)"', asked.text)) | {"logout": "yes"}
    back = browser.follow(browser.client.post(f"{judged.settings.oidc_issuer}/session/end/confirm", data=form))
    assert (back.status_code, back.url.path) == (200, "/hub/logout")
    for each in (browser, thief):
        eventually(lambda each=each: each.who() is None)


class Client:
    """A machine client's side of the protocol, by hand."""

    def __init__(self, judged: Judged) -> None:
        self.judged = judged
        self.callback = f"{judged.settings.origin}/hub/oauth_callback"
        self.auth = (judged.settings.oidc_client_id, keys.secret(judged.settings.home, "oidc-client-secret"))

    def tokens(self, resource: str) -> dict[str, Any]:
        asked = {"client_id": self.auth[0], "redirect_uri": self.callback, "response_type": "code", "scope": "openid"}
        asked |= {"resource": resource, "code_challenge": CHALLENGE, "code_challenge_method": "S256"}
        browser = self.judged.browser()
        form = browser.open(f"{self.judged.settings.oidc_issuer}/auth?{httpx2.QueryParams(asked)}")
        posted = browser.client.post(str(form.url), data={"prompt": "login", "login": "ada", "password": "any"})
        back = browser.follow(posted, until=self.callback)
        code = query_of(back.headers["location"])["code"]
        form_of_code = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.callback}
        return self.post("token", **form_of_code, code_verifier=VERIFIER).json()

    def post(self, path: str, **form: str) -> httpx2.Response:
        return httpx2.post(f"{self.judged.settings.oidc_issuer}/{path}", data=form, auth=self.auth).raise_for_status()


def vouched(judged: Judged, clients: MachineClients, token: str, seconds: float = 0) -> Principal:
    now = datetime.now(UTC) + timedelta(seconds=seconds)
    return asyncio.run(clients.vouched(token, now)).principal


def test_an_opaque_access_token_is_introspected_and_ends_when_it_is_revoked(judged: Judged) -> None:
    clients, client = MachineClients(judged.settings), Client(judged)
    token = client.tokens("urn:api:opaque")["access_token"]
    assert vouched(judged, clients, token) == Principal("TEAM_LEAD", "acme", "ada", ("Search",))
    client.post("token/revocation", token=token)
    assert vouched(judged, clients, token, seconds=5)
    with pytest.raises(Forbidden):
        vouched(judged, clients, token, seconds=10)


def test_a_signed_access_token_is_taken_if_it_is_short(judged: Judged) -> None:
    """The judge introspects no signed ones, and says so."""
    clients, client = MachineClients(judged.settings), Client(judged)
    short, long = (client.tokens(f"urn:api:{life}")["access_token"] for life in ("short", "long"))
    assert vouched(judged, clients, short, seconds=1) == Principal("TEAM_LEAD", "acme", "ada", ("Search",))
    with pytest.raises(Forbidden, match="60 seconds at most"):
        vouched(judged, clients, long, seconds=1)


def test_neither_an_id_token_nor_a_refresh_token_opens_the_api(judged: Judged) -> None:
    clients, given = MachineClients(judged.settings), Client(judged).tokens("urn:api:opaque")
    for kind in ("id_token", "refresh_token"):
        with pytest.raises(Forbidden):
            vouched(judged, clients, given[kind])
