"""Claims become a principal by a strict grammar, or not at all."""

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agent_analytics.scope import ROLES, Principal
from agent_analytics.serving.claims import principal
from agent_analytics.serving.oidc import IdentityRefused
from agent_analytics.settings import Settings

SETTINGS = Settings(home=Path("/nowhere"))
GOOD = {"sub": "ada", "organization": "acme", "role": "TEAM_LEAD", "teams": ["Platform"]}
CONTROLS = [chr(number) for number in range(0x110000) if unicodedata.category(chr(number)) in ("Cc", "Cs")]

slugs = st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=200)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def given_claims(**changed: Any) -> dict[str, Any]:
    return {name: value for name, value in (GOOD | changed).items() if value is not ...}


def outcome(claims: dict[str, Any]) -> Principal | str:
    try:
        return principal(claims, SETTINGS)
    except IdentityRefused as error:
        return str(error)


@given(slugs, st.sampled_from(ROLES[:3]), st.lists(texts, max_size=10), texts, texts, texts)
def test_claims_within_the_grammar_are_taken_as_they_are(
    organization: str, role: str, teams: list[str], user: str, email: str, name: str
) -> None:
    claims = {"sub": user, "organization": organization, "role": role, "teams": teams, "email": email, "name": name}
    expected = Principal(role, organization, user, tuple(dict.fromkeys(teams)), email, name)
    assert principal(claims, SETTINGS) == expected
    assert Principal.from_json(expected.to_json()) == expected


@given(st.sampled_from(["organization", "role", "teams", "sub", "email", "name"]), anything)
def test_whatever_a_claim_holds_we_get_a_principal_or_one_clear_line(claim: str, value: Any) -> None:
    found = outcome(given_claims(**{claim: value}))
    if isinstance(found, Principal):
        assert Principal.from_json(found.to_json()) == found
    else:
        assert found.isprintable()
        assert len(found) < 400


@given(st.sampled_from(["sub", "email", "name"]), texts, st.sampled_from(CONTROLS), st.integers(0, 198))
def test_a_control_character_anywhere_is_refused(claim: str, text: str, control: str, place: int) -> None:
    spoilt = text[:place] + control + text[place:199]
    for claims in ({claim: spoilt}, {"teams": ["Platform", spoilt]}):
        with pytest.raises(IdentityRefused):
            principal(given_claims(**claims), SETTINGS)


@given(st.text())
def test_an_organization_is_a_slug_and_nothing_like_it(text: str) -> None:
    assume(not (text and set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")))
    with pytest.raises(IdentityRefused, match="organization"):
        principal(given_claims(organization=text), SETTINGS)


@pytest.mark.parametrize(
    "changed",
    [
        *({"organization": ...}, {"organization": None}, {"organization": "Acme"}, {"organization": "acme\n"}),
        *({"organization": "-acme"}, {"organization": "a" * 64}, {"organization": ["acme"]}),
        *({"role": ...}, {"role": "org_admin"}, {"role": ["ORG_ADMIN"]}, {"role": "ORG_ADMIN "}, {"role": "service"}),
        *({"teams": "Platform"}, {"teams": [7]}, {"teams": [""]}, {"teams": ["x" * 201]}, {"teams": {"a": 1}}),
        *({"teams": ["x"] * 201}, {"sub": ...}, {"sub": ""}, {"sub": 7}, {"sub": "x" * 201}, {"name": 7}),
        *({"role": "PLATFORM_ADMIN"}, {"role": "PLATFORM_ADMIN", "organization": ...}),
    ],
    ids=str,
)
def test_claims_outside_the_grammar_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(IdentityRefused):
        principal(given_claims(**changed), SETTINGS)


@pytest.mark.parametrize("teams", [..., None, []])
def test_who_has_no_teams_is_in_none(teams: Any) -> None:
    assert principal(given_claims(teams=teams), SETTINGS).teams == ()


def test_who_runs_the_platform_belongs_to_no_organization() -> None:
    claims = given_claims(role="PLATFORM_ADMIN", organization=..., teams=...)
    assert principal(claims, SETTINGS) == Principal("PLATFORM_ADMIN", None, "ada")


def test_the_settings_say_which_claim_holds_what() -> None:
    settings = Settings(
        home=Path("/nowhere"),
        claim_organization="https://example.com/tenant",
        claim_role="aa_role",
        claim_teams="groups",
        claim_user="employee",
    )
    claims = {"https://example.com/tenant": "acme", "aa_role": "MEMBER", "groups": ["Core"], "employee": "e-7", **GOOD}
    assert principal(claims, settings) == Principal("MEMBER", "acme", "e-7", ("Core",))


def test_an_unverified_e_mail_address_is_nobodys() -> None:
    by_email = Settings(home=Path("/nowhere"), claim_user="email")
    claims = given_claims(email="ada@example.com")
    assert principal(claims, by_email).user == "ada@example.com"
    assert principal(claims | {"email_verified": False}, SETTINGS).email is None
    with pytest.raises(IdentityRefused):
        principal(claims | {"email_verified": False}, by_email)
