"""Signing in: every persona gets in as who they are, and nobody gets in by anything else than the whole flow."""

import re
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2
import pytest
from identity.installation import Browser, Installation, query_of

from agent_analytics.demo.people import PERSONAS, Persona
from agent_analytics.scope import Principal

CALLBACK = "/hub/oauth_callback"


def back(installation: Installation, browser: Browser, persona: str = "acme-lead") -> str:
    """The address to which the provider sends the browser back, not yet visited."""
    return browser.press(browser.open("/services/dashboards/"), persona).headers["location"]


def assert_refused(installation: Installation, answer: httpx2.Response, *secrets: str) -> None:
    """A page that says no, with a reference that the log knows, and without any detail."""
    assert answer.status_code == 403
    reference = re.search(r"reference (\w{8})", answer.text)
    assert reference
    assert reference[1] in installation.log.read_text()
    assert not [secret for secret in ("Traceback", "claim", "id_token", *secrets) if secret in answer.text]


@pytest.mark.parametrize("persona", PERSONAS, ids=lambda persona: persona.key)
def test_every_persona_is_who_the_claims_say(installation: Installation, persona: Persona) -> None:
    who = installation.signed_in(persona.key).who()
    assert who
    assert Principal.from_json(who["user_info"]["agent_analytics"]) == Principal(
        persona.role, persona.organization, persona.sub, persona.teams, persona.email, persona.name
    )
    assert who["user_info"]["name"] == persona.name
    assert re.fullmatch(rf"{persona.organization or 'platform'}-[0-9a-f]{{24}}", who["name"])
    assert not who["admin"]


def test_the_root_leads_through_sign_in_to_the_dashboards(installation: Installation) -> None:
    answer = installation.browser().sign_in("acme-admin", to="/")
    assert (answer.status_code, answer.url.path) == (200, "/services/dashboards/")


def test_the_state_is_kept_in_a_cookie_for_the_callback_alone(installation: Installation) -> None:
    answer = installation.browser().get("/hub/oauth_login")
    cookies = [cookie for cookie in answer.headers.get_list("set-cookie") if cookie.startswith("sign-in-")]
    assert len(cookies) == 1
    assert {"HttpOnly", "SameSite=Lax", f"Path={CALLBACK}"} <= set(cookies[0].split("; "))
    asked = query_of(answer.headers["location"])
    assert asked["code_challenge_method"] == "S256"
    assert {"state", "nonce", "code_challenge"} <= set(asked)


def test_two_tabs_can_sign_in_at_once(installation: Installation) -> None:
    browser = installation.browser()
    first, second = back(installation, browser), back(installation, browser)
    assert browser.open(first).status_code == 200
    assert browser.open(second).status_code == 200


@pytest.mark.parametrize("state", ["", "x", "A" * 43, "../../etc", "\u00e4"])
def test_a_tampered_state_is_refused(installation: Installation, state: str) -> None:
    browser = installation.browser()
    url = httpx2.URL(back(installation, browser)).copy_set_param("state", state)
    assert browser.get(str(url)).status_code == 400
    assert browser.who() is None


def test_the_callback_in_another_browser_is_refused(installation: Installation) -> None:
    victim = installation.browser()
    assert victim.get(back(installation, installation.browser())).status_code == 400
    assert victim.who() is None


def test_a_callback_is_good_once(installation: Installation) -> None:
    browser = installation.browser()
    url = back(installation, browser)
    thief = browser.copy()
    assert browser.open(url).status_code == 200
    assert browser.get(url).status_code == 400
    assert_refused(installation, thief.get(url))


@pytest.mark.parametrize("changed", [{"code": "made-up"}, {"iss": "https://id.example.com"}, {"code": ""}])
def test_a_changed_callback_is_refused(installation: Installation, changed: dict[str, str]) -> None:
    browser = installation.browser()
    url = httpx2.URL(back(installation, browser)).copy_merge_params(changed)
    assert_refused(installation, browser.get(str(url)), "example.com")


def test_a_callback_that_does_not_name_its_provider_is_refused(installation: Installation) -> None:
    browser = installation.browser()
    url = httpx2.URL(back(installation, browser)).copy_remove_param("iss")
    assert_refused(installation, browser.get(str(url)))


def test_a_refusal_by_the_provider_is_told(installation: Installation) -> None:
    browser = installation.browser()
    state = query_of(back(installation, browser))["state"]
    answer = browser.get(f"{CALLBACK}?error=access_denied&error_description=<script>&state={state}")
    assert_refused(installation, answer, "<script>;", "access_denied")


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"aud": ["agent-analytics", "another"], "azp": None},
        {"azp": "another"},
        {"iss": "https://id.example.com"},
        {"exp": 1},
        {"iat": 4102444800},
        {"nbf": 4102444800},
        {"sub": None},
        {"role": "SUPERUSER"},
        {"organization": "../acme"},
        {"teams": "Platform"},
    ],
    ids=str,
)
def test_an_id_token_that_says_something_else_is_refused(installation: Installation, claims: dict[str, Any]) -> None:
    installation.provider.instead = claims
    browser = installation.browser()
    assert_refused(installation, browser.open(back(installation, browser)), "example.com", "SUPERUSER")
    assert browser.who() is None


@pytest.mark.parametrize(
    "destination",
    [
        "//evil.example",
        "https://evil.example/",
        r"/\evil.example",
        "///evil.example",
        "http:evil.example",
        "/hub/logout",
        "/%2f%2fevil.example",
        "/%5cevil.example",
        "%2f%2fevil.example",
        "/\t/evil.example",
        "/\n//evil.example",
        "https:/\\evil.example",
        "//evil.example/services/dashboards/",
        "//127.0.0.1@evil.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        "/services/dashboards/../../..//evil.example",
        "x" * 3000,
    ],
)
def test_sign_in_leads_nowhere_but_home(installation: Installation, destination: str) -> None:
    browser = installation.browser()
    picker = browser.follow(browser.client.get("/hub/login", params={"next": destination}))
    visited = followed(browser, browser.press(picker, "acme-admin"))
    origins = {installation.settings.origin, installation.settings.oidc_issuer}
    assert {"{0.scheme}://{0.netloc}".format(urlsplit(url)) for url in visited} <= origins
    assert browser.who()


def followed(browser: Browser, answer: httpx2.Response) -> list[str]:
    """Where a browser is sent to, as browsers read it: they take a backslash for a slash, and drop tabs and ends."""
    visited = []
    while answer.has_redirect_location:
        written = re.sub(r"[\t\r\n]", "", answer.headers["location"]).replace("\\", "/")
        visited.append(urljoin(str(answer.url), written))
        answer = browser.client.get(visited[-1])
    return visited


def test_nobody_is_signed_in_by_an_address_that_another_prepared(installation: Installation) -> None:
    """Login CSRF: a thief's own callback, or state cookie, or code, makes no victim work in the thief's account."""
    thief, victim = installation.browser(), installation.signed_in("acme-engineer")
    theirs, code = back(installation, thief), query_of(back(installation, thief))["code"]
    own = query_of(victim.get("/hub/oauth_login").headers["location"])["state"]
    for url in (theirs, f"{CALLBACK}?code={code}&state={own}&iss={installation.settings.oidc_issuer}"):
        assert victim.get(url).status_code in (400, 403)
    for headers in ({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, {}):
        assert victim.client.post("/hub/login", data={"username": "x"}, headers=headers).status_code == 403
    assert (victim.principal() or Principal("PLATFORM_ADMIN", None)).user == "emil.novak"


@pytest.mark.parametrize("forged", ["sign-in-{state}=made-up", "sign-in-{state}=", "sign-in-{state}=2|1:0|x"])
def test_a_forged_state_cookie_signs_nobody_in(installation: Installation, forged: str) -> None:
    browser = installation.browser()
    url = back(installation, installation.browser())
    browser.client.headers["Cookie"] = forged.format(state=query_of(url)["state"])
    assert browser.get(url).status_code == 400


def test_a_form_sent_to_the_hub_signs_nobody_in(installation: Installation) -> None:
    browser = installation.browser()
    code = query_of(back(installation, browser))["code"]
    token = browser.client.get("/hub/logout") and browser.client.cookies.get("_xsrf", path="/hub/")
    form = {"_xsrf": token or "", "username": "acme-admin", "code": code, "attempt": "x", "issuer": "x"}
    assert browser.client.post("/hub/login", data=form).status_code == 403
    assert browser.who() is None
