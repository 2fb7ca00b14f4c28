"""The demo's provider is as strict as a real one: it is what shows that the hub is."""

import base64
import hashlib
import re
from dataclasses import replace

import httpx2
import pytest
from identity.installation import Installation, query_of
from joserfc import jwt
from joserfc.jwk import KeySet

from agent_analytics import keys
from agent_analytics.demo.people import ORGANIZATIONS, PERSONAS

VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


class Client:
    """Our side of the protocol, by hand."""

    def __init__(self, installation: Installation) -> None:
        self.http = httpx2.Client(base_url=installation.settings.oidc_issuer or "")
        self.callback = f"{installation.settings.origin}/hub/oauth_callback"
        self.secret = keys.secret(installation.settings.home, "oidc-client-secret")

    def authorization(self, **changed: str) -> dict[str, str]:
        good = {"client_id": "agent-analytics", "redirect_uri": self.callback, "response_type": "code"}
        good |= {"scope": "openid profile", "state": "s", "nonce": "n"}
        return good | {"code_challenge": CHALLENGE, "code_challenge_method": "S256"} | changed

    def pick(self, persona: str) -> httpx2.Response:
        return self.http.post("/authorize", params=self.authorization(), data={"persona": persona})

    def code(self) -> str:
        return query_of(self.pick("acme-lead").headers["location"])["code"]

    def token(self, **changed: str) -> httpx2.Response:
        form = {"grant_type": "authorization_code", "redirect_uri": self.callback, "code_verifier": VERIFIER}
        form |= {"client_id": "agent-analytics", "client_secret": self.secret}
        return self.http.post("/token", data=form | changed)

    def ask(self, path: str, token: str, secret: str = "") -> httpx2.Response:
        return self.http.post(f"/{path}", data={"token": token}, auth=("agent-analytics", secret or self.secret))

    def refresh(self, token: str) -> httpx2.Response:
        return self.token(grant_type="refresh_token", refresh_token=token)


@pytest.fixture
def client(installation: Installation) -> Client:
    return Client(installation)


def test_the_picker_offers_every_persona_and_says_that_all_are_invented(client: Client) -> None:
    page = client.http.get("/authorize", params=client.authorization())
    assert re.findall(r'<button [^>]*data-persona="([\w-]+)"', page.text) == [each.key for each in PERSONAS]
    assert "These people and organizations are invented" in page.text
    assert "<script" not in page.text
    assert "style=" not in page.text
    assert "script-src" not in (policy := page.headers["content-security-policy"])
    assert "default-src 'none'" in policy
    assert client.http.get("/picker.css").headers["content-type"].startswith("text/css")


def test_the_personas_belong_to_the_demos_organizations() -> None:
    teams = {each.slug: set(each.teams) for each in ORGANIZATIONS}
    assert all(set(each.teams) <= teams[each.organization] for each in PERSONAS if each.organization)
    assert len({each.sub for each in PERSONAS}) == len(PERSONAS)
    assert all(each.email.endswith(".example.com") for each in PERSONAS)


@pytest.mark.parametrize("wrong", [{"client_id": "x"}, {"redirect_uri": "https://evil.example/"}, {"redirect_uri": ""}])
def test_of_a_stranger_nothing_goes_back(client: Client, wrong: dict[str, str]) -> None:
    for answer in (
        client.http.get("/authorize", params=client.authorization(**wrong)),
        client.http.post("/authorize", params=client.authorization(**wrong), data={"persona": "acme-lead"}),
    ):
        assert answer.status_code == 400
        assert "evil" not in answer.text


@pytest.mark.parametrize(
    "wrong",
    [
        *({"code_challenge": ""}, {"code_challenge": "short"}, {"code_challenge_method": "plain"}),
        *({"response_type": "token"}, {"scope": "profile"}),
    ],
    ids=str,
)
def test_a_request_without_what_protects_it_goes_back_with_an_error(client: Client, wrong: dict[str, str]) -> None:
    answer = client.http.get("/authorize", params=client.authorization(**wrong))
    back = query_of(answer.headers["location"])
    assert answer.headers["location"].startswith(client.callback)
    assert ("error" in back, "code" in back, back["state"]) == (True, False, "s")


def test_only_its_personas_can_be_picked(client: Client) -> None:
    assert client.pick("root").status_code == 400


def test_the_tokens_say_who_it_is_for_five_minutes(client: Client) -> None:
    answer = client.token(code=client.code()).json()
    published = KeySet.import_key_set(client.http.get("/jwks").json())
    identity = jwt.decode(answer["id_token"], published, algorithms=["RS256"])
    access = jwt.decode(answer["access_token"], published, algorithms=["RS256"])
    assert identity.claims["exp"] - identity.claims["iat"] == 300
    assert (identity.claims["nonce"], identity.claims["aud"]) == ("n", "agent-analytics")
    assert (access.header["typ"], access.claims["aud"]) == ("at+jwt", "agent-analytics-api")
    assert identity.claims["teams"] == access.claims["teams"] == ["Platform", "Payments"]
    assert not [key for key in client.http.get("/jwks").json()["keys"] if set(key) & {"d", "p", "q"}]


@pytest.mark.parametrize(
    "wrong",
    [
        *({"code_verifier": "w" * 64}, {"code_verifier": ""}, {"redirect_uri": "http://127.0.0.1/"}, {"code": "x"}),
        *({"client_secret": "x"}, {"client_id": "x"}, {"grant_type": "password"}, {"grant_type": ""}),
    ],
    ids=str,
)
def test_a_code_is_nothing_to_somebody_else(client: Client, wrong: dict[str, str]) -> None:
    answer = client.token(**({"code": client.code()} | wrong))
    assert answer.status_code in (400, 401)
    assert set(answer.json()) == {"error"}


def test_a_code_is_tried_once_even_in_vain(client: Client) -> None:
    code = client.code()
    client.token(code=code, code_verifier="w" * 64)
    assert client.token(code=code).json() == {"error": "invalid_grant"}


def test_a_code_is_good_for_a_minute(client: Client, installation: Installation) -> None:
    early, late = client.code(), client.code()
    installation.ahead = 59
    assert client.token(code=early).status_code == 200
    installation.ahead = 61
    assert client.token(code=late).json() == {"error": "invalid_grant"}


def test_the_secret_may_come_in_the_header(client: Client) -> None:
    form = {"grant_type": "authorization_code", "code": client.code(), "code_verifier": VERIFIER}
    form["redirect_uri"] = client.callback
    assert client.http.post("/token", data=form, auth=("agent-analytics", client.secret)).status_code == 200
    for wrong in (("agent-analytics", "x"), ("", "")):
        assert client.http.post("/token", data=form, auth=wrong).status_code == 401
    assert client.http.post("/token", data=form, headers={"Authorization": "Basic ===="}).status_code == 401


def test_a_refresh_token_used_twice_ends_its_family(client: Client) -> None:
    first = client.token(code=client.code()).json()["refresh_token"]
    second = client.refresh(first).json()["refresh_token"]
    assert client.refresh(first).json() == {"error": "invalid_grant"}
    assert client.refresh(second).json() == {"error": "invalid_grant"}


def test_sign_ins_outlive_a_restart(client: Client, installation: Installation) -> None:
    token = client.token(code=client.code()).json()["refresh_token"]
    published = client.http.get("/jwks").json()
    with installation.provider_down():
        pass
    again = Client(installation)
    assert again.http.get("/jwks").json() == published
    assert again.refresh(token).status_code == 200


def test_signing_out_ends_the_sign_in_and_leads_back_to_us_alone(client: Client, installation: Installation) -> None:
    answer = client.token(code=client.code()).json()
    to_us = f"{installation.settings.origin}/hub/logout"
    hint = {"id_token_hint": answer["id_token"]}
    elsewhere = client.http.get("/end_session", params=hint | {"post_logout_redirect_uri": "https://evil.example"})
    assert (elsewhere.status_code, "location" in elsewhere.headers) == (200, False)
    back = client.http.get("/end_session", params=hint | {"post_logout_redirect_uri": to_us})
    assert back.headers["location"] == to_us
    assert client.refresh(answer["refresh_token"]).json() == {"error": "invalid_grant"}
    assert client.http.get("/end_session", params={"id_token_hint": "x.y.z"}).status_code == 400


def test_introspection_tells_of_access_tokens_what_is_so_now(client: Client, installation: Installation) -> None:
    given = client.token(code=client.code()).json()
    active = client.ask("introspect", given["access_token"]).json()
    assert (active["active"], active["token_type"], active["aud"]) == (True, "Bearer", "agent-analytics-api")
    assert (active["sub"], active["role"], active["organization"]) == ("lena.brandt", "TEAM_LEAD", "acme")
    assert active["exp"] - active["iat"] == 300
    installation.people["acme-lead"] = replace(installation.people["acme-lead"], role="MEMBER")
    assert client.ask("introspect", given["access_token"]).json()["role"] == "MEMBER"
    for other in (given["id_token"], given["refresh_token"], "x", "", f"{given['access_token']}x"):
        assert client.ask("introspect", other).json() == {"active": False}
    installation.ahead = 300
    assert client.ask("introspect", given["access_token"]).json() == {"active": False}


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_a_revoked_token_ends_its_sign_in(client: Client, kind: str) -> None:
    given, other = client.token(code=client.code()).json(), client.token(code=client.code()).json()
    assert client.ask("revoke", given[kind]).status_code == 200
    assert client.ask("introspect", given["access_token"]).json() == {"active": False}
    assert client.refresh(given["refresh_token"]).json() == {"error": "invalid_grant"}
    assert client.ask("introspect", other["access_token"]).json()["active"]
    assert client.ask("revoke", "unknown").status_code == 200


def test_strangers_neither_introspect_nor_revoke(client: Client) -> None:
    token = client.token(code=client.code()).json()["access_token"]
    for path in ("introspect", "revoke"):
        assert client.ask(path, token, secret="x").status_code == 401
    assert client.ask("introspect", token).json()["active"]


def test_a_huge_form_is_not_read(client: Client) -> None:
    assert client.http.post("/token", content=b"x" * 1_000_000).status_code == 401
