"""Staying signed in: claims are followed, a refusal ends everything, a provider out of reach leaves the last rights."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from identity.installation import Browser, Installation

from agent_analytics.demo.people import Persona

STALE = 2.2


def eventually(holds: Callable[[], Any]) -> None:
    """Within the seconds that the hub's check and the service's cache may take, and plenty more."""
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.2)


def change(installation: Installation, key: str, **fields: Any) -> None:
    installation.people[key] = replace(installation.people[key], **fields)


def refused(installation: Installation, key: str) -> Persona:
    return installation.people.pop(key)


def test_who_signs_in_stays_so_over_many_checks(installation: Installation) -> None:
    browser = installation.signed_in("acme-engineer")
    first = browser.who()
    time.sleep(STALE)
    eventually(
        lambda: (again := browser.who()) and again["user_info"]["verified_at"] > first["user_info"]["verified_at"]
    )
    time.sleep(STALE)
    assert browser.principal()


def test_of_many_requests_at_once_only_the_first_asks_the_provider(installation: Installation) -> None:
    browsers = [installation.signed_in("globex-engineer") for _ in range(6)]
    for _ in range(2):
        time.sleep(STALE)
        before = installation.provider.said
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda browser: browser.get("/hub/home").status_code, browsers))
        assert answers == [200] * 6
        assert 1 <= installation.provider.said - before < 6


def test_a_change_of_role_and_teams_is_followed(installation: Installation) -> None:
    browser = installation.signed_in("acme-engineer")
    change(installation, "acme-engineer", role="TEAM_LEAD", teams=("Search", "Growth"))
    eventually(lambda: (now := browser.principal()) and (now.role, now.teams) == ("TEAM_LEAD", ("Search", "Growth")))


def test_who_moves_to_another_organization_signs_in_again_as_somebody_else(installation: Installation) -> None:
    browser = installation.signed_in("acme-engineer")
    before = browser.who()
    change(installation, "acme-engineer", organization="globex")
    eventually(lambda: browser.who() is None)
    assert browser.sign_in("acme-engineer").status_code == 200
    after = browser.who()
    assert before
    assert after
    assert after["name"].startswith("globex-")
    assert after["name"] != before["name"]


def test_who_is_refused_is_signed_out_for_good(installation: Installation) -> None:
    browser = installation.signed_in("globex-admin")
    thief = browser.copy()
    persona = refused(installation, "globex-admin")
    eventually(lambda: browser.who() is None)
    installation.people["globex-admin"] = persona
    installation.signed_in("globex-admin")
    time.sleep(STALE)
    assert thief.who() is None


def test_a_stolen_code_ends_what_its_first_use_gave(installation: Installation) -> None:
    browser = installation.browser()
    callback = browser.press(browser.open("/services/dashboards/"), "globex-engineer").headers["location"]
    thief = browser.copy()
    browser.open(callback)
    assert browser.who()
    assert thief.get(callback).status_code == 403
    eventually(lambda: browser.who() is None)


def test_a_provider_out_of_reach_leaves_what_was_verified_last_and_when(installation: Installation) -> None:
    browser = installation.signed_in("acme-lead")
    before = browser.principal()
    with installation.provider_down():
        time.sleep(STALE)
        first = verified(browser)
        time.sleep(STALE)
        assert verified(browser) == first
        assert browser.principal() == before
        assert "could not be checked" in installation.log.read_text()
    eventually(lambda: verified(browser) > first)


def verified(browser: Browser) -> int:
    who = browser.who()
    assert who
    assert who["user_info"]["valid_until"] - who["user_info"]["verified_at"] == 15 * 60
    return who["user_info"]["verified_at"]


def test_a_refusal_after_the_provider_came_back_ends_access_at_once(installation: Installation) -> None:
    browser = installation.signed_in("acme-lead")
    with installation.provider_down():
        time.sleep(STALE)
        assert browser.principal()
        refused(installation, "acme-lead")
    eventually(lambda: browser.who() is None)


def test_a_provider_out_of_reach_for_longer_than_the_grace_ends_access_but_no_session(
    installation: Installation,
) -> None:
    browser = installation.signed_in("acme-lead")
    with installation.provider_down():
        time.sleep(STALE)
        assert browser.principal()
        later = installation.settings.home / "ahead"
        later.touch()  # twenty minutes by the hub's clock
        eventually(lambda: browser.get("/services/dashboards/").status_code != 200)
        later.unlink()
    eventually(browser.principal)


def test_a_killed_hub_comes_back_with_everybody_signed_in_though_the_provider_is_down(
    installation: Installation,
) -> None:
    browser = installation.signed_in("acme-lead")
    installation.kill_hub()
    with installation.provider_down():
        installation.start_hub()
        answer = installation.browser().open("/hub/login")
        assert answer.status_code == 503
        assert "The identity provider cannot be reached" in answer.text
    eventually(browser.principal)
    assert installation.signed_in("acme-admin").principal()


def test_signing_out_ends_every_copy_of_the_cookies(installation: Installation) -> None:
    browser = installation.signed_in("acme-lead")
    thief, elsewhere = browser.copy(), installation.signed_in("acme-lead")
    answer = browser.get("/hub/logout")
    assert answer.headers["location"].startswith(f"{installation.settings.oidc_issuer}/end_session?")
    signed_out = browser.follow(answer)
    assert (signed_out.status_code, signed_out.url.path) == (200, "/hub/logout")
    for other in (browser, thief, elsewhere):
        eventually(lambda other=other: other.who() is None)
        assert other.get("/hub/home").status_code == 302
    installation.signed_in("acme-lead")
    time.sleep(STALE)
    assert thief.who() is None


def test_signing_out_ends_the_refresh_token(installation: Installation) -> None:
    browser = installation.browser()
    browser.sign_in("acme-admin")
    families = lambda: {row[0] for row in installation.provider.grants._database.execute("select family from grants")}  # noqa: E731
    before = families()
    browser.open("/hub/logout")
    assert len(before - families()) == 1


def test_signing_out_while_signed_out_is_harmless(installation: Installation) -> None:
    assert installation.browser().get("/hub/logout").status_code == 200


def test_signing_in_as_somebody_else_leaves_nothing_of_the_first(installation: Installation) -> None:
    browser = installation.signed_in("acme-admin")
    picker = browser.open("/hub/oauth_login")
    browser.follow(browser.press(picker, "globex-engineer"))
    eventually(lambda: (now := browser.principal()) and now.organization == "globex")
