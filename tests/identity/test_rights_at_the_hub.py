"""At the hub nobody has rights but to be known to our services; what it keeps is private, what it logs harmless."""

import re
from pathlib import Path
from typing import Any

import pytest
from identity.installation import Browser, Installation
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from agent_analytics import keys
from agent_analytics.errors import SettingError
from agent_analytics.serving import hub
from agent_analytics.settings import Settings

SCRIPTED = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}


def xsrf(browser: Browser) -> str:
    browser.get("/hub/home")
    return next(cookie.value or "" for cookie in browser.client.cookies.jar if cookie.name == "_xsrf")


@pytest.fixture(scope="module")
def browser(_installation: Installation) -> Browser:
    return _installation.signed_in("acme-engineer")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/hub/spawn"),
        ("GET", "/hub/spawn/{name}"),
        ("GET", "/hub/spawn/{name}/second"),
        ("POST", "/hub/spawn"),
        ("POST", "/hub/spawn/{name}"),
        ("GET", "/hub/spawn-pending/{name}"),
        ("GET", "/hub/user-redirect/lab"),
        ("GET", "/user/{name}/lab"),
        ("GET", "/hub/user/{name}/lab"),
        ("POST", "/hub/api/users/{name}/server"),
        ("POST", "/hub/api/users/{name}/servers/second"),
        ("POST", "/hub/api/users/{name}/tokens"),
        ("POST", "/hub/api/users"),
        ("PATCH", "/hub/api/users/{name}"),
        ("GET", "/hub/api/users"),
        ("GET", "/hub/api/proxy"),
        ("GET", "/hub/api/info"),
        ("POST", "/hub/api/shutdown"),
        ("GET", "/hub/admin"),
        ("GET", "/hub/metrics"),
    ],
)
def test_a_member_can_start_nothing_and_rule_nothing(browser: Browser, method: str, path: str) -> None:
    who = browser.who()
    assert who
    url = path.format(name=who["name"])
    token = xsrf(browser)
    headers = SCRIPTED | {"X-XSRFToken": token} if "/api/" in url else {}
    body: dict[str, Any] = {"json": {}} if "/api/" in url else {"data": {"_xsrf": token}}
    answer = browser.client.request(method, url, headers=headers, **({} if method == "GET" else body))
    assert browser.follow(answer).status_code in (403, 404)
    assert not (browser.who() or {}).get("server")


def test_nobody_reads_of_another(browser: Browser, installation: Installation) -> None:
    other = installation.signed_in("globex-admin").who()
    assert other
    answer = browser.client.get(f"/hub/api/users/{other['name']}", headers=SCRIPTED)
    assert answer.status_code in (403, 404)
    assert "Grace" not in answer.text


def test_what_is_kept_is_readable_by_its_owner_alone(browser: Browser, installation: Installation) -> None:
    home = installation.settings.home
    kept = [path for part in ("hub", "provider", "keys") for path in (home / part, *(home / part).rglob("*"))]
    assert {path.name for path in kept} > {"hub.sqlite", "grants.sqlite", "hub-cookie-secret"}
    assert [path for path in kept if path.stat().st_mode & 0o077] == []


def test_the_tokens_of_the_provider_are_kept_encrypted(browser: Browser, installation: Installation) -> None:
    kept = b"".join(path.read_bytes() for path in (installation.settings.home / "hub").iterdir())
    assert b"acme-" in kept
    assert not re.search(rb"eyJ|refresh_token", kept)


def test_the_log_holds_no_code_no_token_and_no_secret(browser: Browser, installation: Installation) -> None:
    failed = installation.browser()
    failed.get("/hub/oauth_callback?code=canary-code&state=canary-state")
    installation.signed_in("globex-admin").open("/hub/logout")
    log = installation.log.read_text()
    assert "/hub/oauth_callback?code=[secret]" in log
    assert not re.search(r"eyJ|canary|cookie_id|code=(?!\[secret\])", log)
    secrets = [path.read_text() for path in (installation.settings.home / "keys").iterdir()]
    assert len(secrets) > 5
    assert not [secret for secret in secrets if secret in log]


def test_the_hub_can_also_be_started_by_its_own_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_ANALYTICS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AGENT_ANALYTICS_OIDC_ISSUER", "https://id.example.com")
    expected = Config()
    hub.configure(expected, Settings(home=tmp_path / "home", oidc_issuer="https://id.example.com"))
    directory = str(Path(hub.__file__).parent)
    assert PyFileConfigLoader("hub_config.py", path=directory).load_config() == expected
    assert expected.Authenticator.auth_refresh_age == 20


def test_without_a_provider_the_hub_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="AGENT_ANALYTICS_OIDC_ISSUER is not set"):
        hub.main(Settings(home=tmp_path))


def test_a_client_secret_is_ours_to_know_for_the_demos_provider_alone(tmp_path: Path) -> None:
    demo = Settings(home=tmp_path, oidc_issuer="http://127.0.0.1:8005")
    assert hub.client_secret(demo) == keys.secret(tmp_path, "oidc-client-secret")
    assert hub.client_secret(Settings(home=tmp_path, oidc_issuer="https://id.example.com")) is None
