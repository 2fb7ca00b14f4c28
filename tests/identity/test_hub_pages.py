"""The hub's own pages: in our frame, without script, closed to other sites, and without what nobody has a use for."""

import re

import httpx2
import pytest
from identity.installation import NAVIGATION, Installation
from traitlets.config import Config

from agent_analytics.serving.hub import configure
from agent_analytics.settings import Settings

PAGES = {"/hub/home": 200, "/hub/nothing": 404, "/hub/oauth_callback?state=a": 400, "/hub/spawn/nobody": 403}
PAGES |= {"/hub/token": 404, "/hub/admin": 404, "/hub/accept-share?code=a": 404, "/hub/%00": 404, "/hub/..%2f": 404}


def assert_closed(answer: httpx2.Response) -> None:
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "script-src" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert not re.search(r"<script|\son\w+=|javascript:|style=|https?://", answer.text)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_in_our_frame_and_runs_nothing(installation: Installation, path: str) -> None:
    answer = installation.signed_in("acme-engineer").open(path)
    assert answer.status_code == PAGES[path]
    assert_closed(answer)
    assert "Agent Analytics</title>" in answer.text
    assert "JupyterHub" not in answer.text


def test_what_was_asked_for_is_shown_as_text(installation: Installation) -> None:
    answer = installation.signed_in("acme-engineer").open("/hub/<script>alert(1)</script>?next=%22%3E%3Cb%3E")
    assert answer.status_code == 404
    assert_closed(answer)


def test_another_site_signs_nobody_out(installation: Installation) -> None:
    browser = installation.signed_in("acme-engineer")
    for site in ("cross-site", "same-site"):
        asked = browser.client.get("/hub/logout", headers=NAVIGATION | {"Sec-Fetch-Site": site})
        assert_closed(asked)
        assert "Do you want to sign out?" in asked.text
        assert browser.principal()
    browser.client.get("/hub/logout", headers=NAVIGATION | {"Sec-Fetch-Site": "same-origin"})
    assert browser.principal() is None


def test_cookies_are_for_this_host_for_http_and_for_our_own_requests_alone(installation: Installation) -> None:
    browser = installation.browser()
    answer, set_cookies = browser.press(browser.open("/services/dashboards/"), "acme-engineer"), []
    while answer.has_redirect_location:
        answer = browser.client.get(httpx2.URL(str(answer.url)).join(answer.headers["location"]))
        set_cookies += answer.headers.get_list("set-cookie")
    kept = {each.split("=")[0]: each.lower() for each in set_cookies if "01 jan 1970" not in each.lower()}
    assert kept.keys() >= {"jupyterhub-hub-login", "jupyterhub-session-id", "_xsrf"}
    assert not [name for name, text in kept.items() if "domain=" in text]
    assert not [name for name, text in kept.items() if name.startswith("jupyterhub") and "httponly" not in text]
    assert not [name for name, text in kept.items() if name.startswith("jupyterhub") and "samesite=lax" not in text]


def test_under_https_cookies_are_secure_and_bound_to_the_host(installation: Installation, tmp_path) -> None:
    c = Config()
    settings = Settings(home=tmp_path, public_url="https://analytics.example.com", oidc_issuer="https://id.example.com")
    configure(c, settings)
    assert c.JupyterHub.cookie_host_prefix_enabled is True
    assert c.JupyterHub.public_url.startswith("https://")
    assert "max-age" in c.JupyterHub.tornado_settings["headers"]["Strict-Transport-Security"]
