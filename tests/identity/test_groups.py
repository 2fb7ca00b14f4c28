"""What groups at the provider give, in the shapes that Keycloak, Okta and Entra document: exact rules, or nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_analytics import settings
from agent_analytics.errors import SettingError
from agent_analytics.groups import Grant, given_by
from agent_analytics.scope import Principal
from agent_analytics.serving.claims import found, principal
from agent_analytics.serving.oidc import IdentityRefused
from agent_analytics.settings import Settings

LEADS, SEARCH = "0760b6cf-170e-4a14-91b3-4b78e0739963", "3b2b0c93-acd8-4208-8eba-7a48db1cd4c0"


def given_settings(groups: Any, **variables: str) -> Settings:
    """Settings as the environment gives them."""
    named = {f"AGENT_ANALYTICS_{name}": text for name, text in variables.items()}
    return settings.read({"HOME": "/nowhere", "AGENT_ANALYTICS_GROUPS": json.dumps(groups), **named})


def keycloak(**changed: Any) -> dict[str, Any]:
    """An ID token of Keycloak: https://www.keycloak.org/docs/latest/server_admin/#_protocol-mappers

    Realm and client roles lie under `realm_access` and `resource_access`; a group membership mapper lists groups by
    their full path.
    """
    return {
        "iss": "https://id.example.com/realms/acme",
        "aud": "agent-analytics",
        "azp": "agent-analytics",
        "typ": "ID",
        "sub": "1c4a6f7e-6e3b-4a43-a1a1-4d7a9f1f8a10",
        "preferred_username": "lena",
        "email": "lena@acme.example.com",
        "email_verified": True,
        "organization": "acme",
        "realm_access": {"roles": ["offline_access", "uma_authorization", "analytics-lead"]},
        "resource_access": {"agent.analytics": {"roles": ["lead"]}, "account": {"roles": ["view-profile"]}},
        "groups": ["/acme/leads", "/acme/teams/Platform", "/acme/teams/Payments"],
    } | changed


def test_keycloaks_groups_by_their_full_path() -> None:
    by_path = given_settings({"/acme/leads": {"role": "TEAM_LEAD"}, "/acme/teams/*": {"team": "*"}})
    assert principal(keycloak(), by_path) == Principal(
        "TEAM_LEAD", "acme", keycloak()["sub"], ("Platform", "Payments"), "lena@acme.example.com"
    )
    below = keycloak(groups=["/acme/leads", "/acme/teams/Platform/Core", "/acme/teams/", "/acme/teams"])
    assert principal(below, by_path).teams == ()


@pytest.mark.parametrize(
    ("claim", "role"), [("realm_access.roles", "analytics-lead"), ("resource_access.agent.analytics.roles", "lead")]
)
def test_keycloaks_roles_lie_within_another_claim(claim: str, role: str) -> None:
    by_role = given_settings({role: {"role": "TEAM_LEAD"}}, CLAIM_GROUPS=claim, CLAIM_USER="preferred_username")
    assert principal(keycloak(), by_role) == Principal("TEAM_LEAD", "acme", "lena", (), "lena@acme.example.com")
    with pytest.raises(IdentityRefused, match="must be one of ORG_ADMIN"):
        principal(keycloak(realm_access={"roles": []}, resource_access={}), by_role)


def okta(**changed: Any) -> dict[str, Any]:
    """An ID token of Okta: https://developer.okta.com/docs/guides/customize-tokens-groups-claim/main/

    A groups claim lists the names of the groups that its filter lets through.
    """
    return {
        "sub": "00uixa271s6x7qt8I0h7",
        "ver": 1,
        "iss": "https://acme.okta.example.com",
        "aud": "0oaoiuhhch8VRtBnC0h7",
        "jti": "ID.ewMNfSvcpuqyS93OgVeCN3F2LseqROkyYjz7DNb9yhs",
        "amr": ["pwd"],
        "idp": "00oixa26ycdNcX0VT0h7",
        "https://acme.example.com/organization": "acme",
        "groups": ["Everyone", "Analytics members", "team-Search"],
    } | changed


def test_oktas_groups_by_name_and_a_claim_whose_own_name_has_dots() -> None:
    by_name = given_settings(
        {"Analytics members": {"role": "MEMBER"}, "team-*": {"team": "*"}},
        CLAIM_ORGANIZATION="https://acme.example.com/organization",
    )
    assert principal(okta(), by_name) == Principal("MEMBER", "acme", okta()["sub"], ("Search",))


def entra(**changed: Any) -> dict[str, Any]:
    """An ID token of Entra: https://learn.microsoft.com/en-us/entra/identity-platform/id-token-claims-reference

    Groups are listed by their object ids, application roles under `roles`
    (https://learn.microsoft.com/en-us/entra/identity-platform/howto-add-app-roles-in-apps).
    """
    return {
        "ver": "2.0",
        "iss": "https://login.example.com/9122040d-6c67-4c5b-b112-36a304b66dad/v2.0",
        "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
        "aud": "6cb04018-a3f5-46a7-b995-940c78f5aef3",
        "tid": "9122040d-6c67-4c5b-b112-36a304b66dad",
        "oid": "00000000-0000-0000-66f3-3332eca7ea81",
        "preferred_username": "lena@acme.example.com",
        "groups": [LEADS, SEARCH, "00000000-0000-0000-0000-000000000000"],
        "roles": ["Analytics.Lead"],
    } | changed


def test_entras_groups_by_object_id_and_its_application_roles() -> None:
    by_id = given_settings(
        {LEADS: {"role": "TEAM_LEAD", "organization": "acme"}, SEARCH: {"team": "Search"}}, CLAIM_USER="oid"
    )
    assert principal(entra(), by_id) == Principal("TEAM_LEAD", "acme", entra()["oid"], ("Search",))
    by_role = given_settings(
        {"Analytics.Lead": {"role": "TEAM_LEAD"}}, CLAIM_GROUPS="roles", CLAIM_ORGANIZATION="tid", CLAIM_USER="oid"
    )
    assert principal(entra(), by_role) == Principal("TEAM_LEAD", entra()["tid"], entra()["oid"])


@pytest.mark.parametrize(
    "overage",
    [
        {
            "_claim_names": {"groups": "src1"},
            "_claim_sources": {"src1": {"endpoint": "https://graph.example.com/v1.0/users/00/getMemberObjects"}},
        },
        {"hasgroups": True},
        {"hasgroups": "true"},
    ],
    ids=["_claim_names", "hasgroups", "hasgroups as text"],
)
def test_groups_that_entra_left_out_are_not_no_groups(overage: dict[str, Any]) -> None:
    """https://learn.microsoft.com/en-us/entra/identity-platform/access-token-claims-reference#groups-overage-claim"""
    by_id = given_settings({LEADS: {"role": "TEAM_LEAD", "organization": "acme"}})
    claims = {name: value for name, value in entra().items() if name != "groups"}
    with pytest.raises(IdentityRefused, match="left out the claim 'groups', because it is too long"):
        principal(claims | overage, by_id)
    as_teams = Settings(home=Path("/nowhere"), claim_teams="groups", claim_organization="tid", claim_user="oid")
    with pytest.raises(IdentityRefused, match="left out"):
        principal(claims | overage | {"role": "MEMBER"}, as_teams)
    assert principal(claims | overage | {"role": "MEMBER", "organization": "acme"}, Settings(home=Path("/nowhere")))


@pytest.mark.parametrize(
    "changed",
    [
        {"groups": ["leads", "members"]},
        {"groups": ["leads"], "role": "ORG_ADMIN"},
        {"groups": ["members"], "role": "ORG_ADMIN"},
        {"groups": ["leads", "globex-people"]},
        {"groups": ["acme-people", "globex-people", "leads"], "organization": None},
        {"groups": ["platform"]},
        {"groups": ["team-x", "platform"], "organization": None},
        {"groups": "leads"},
        {"groups": {"leads": True}},
        {"groups": ["leads", 7]},
        {"groups": ["leads", "team-\n"]},
        {"groups": ["leads", *(f"g{number}" for number in range(1000))]},
        {"groups": ["leads", *(f"team-{number}" for number in range(201))]},
        {"groups": ["Leads"]},
        {"groups": ["leads "]},
        {"groups": []},
    ],
    ids=lambda changed: str(changed)[:60],
)
def test_two_that_differ_are_neither_and_nothing_is_nearly_a_group(changed: dict[str, Any]) -> None:
    rules = given_settings(RULES)
    good = {"sub": "ada", "organization": "acme", "groups": ["leads"]}
    assert principal(good, rules) == Principal("TEAM_LEAD", "acme", "ada")
    with pytest.raises(IdentityRefused) as refused:
        principal({name: value for name, value in (good | changed).items() if value is not None}, rules)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400


RULES = {
    "leads": {"role": "TEAM_LEAD"},
    "members": {"role": "MEMBER"},
    "platform": {"role": "PLATFORM_ADMIN"},
    "acme-people": {"organization": "acme"},
    "globex-people": {"organization": "globex"},
    "team-*": {"team": "*"},
    "team-x-*": {"team": "X"},
    "team-secret": {"organization": "acme"},
}


def test_claim_and_groups_may_say_the_same_and_teams_add_up() -> None:
    claims = {"sub": "ada", "organization": "acme", "role": "TEAM_LEAD", "teams": ["Search", "a"]}
    claims["groups"] = ["leads", "acme-people", "team-a", "team-x-1", "team-secret", "unknown"]
    assert principal(claims, given_settings(RULES)) == Principal("TEAM_LEAD", "acme", "ada", ("Search", "a", "X"))


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_pattern_stands_for_the_rest_of_a_name_and_nothing_else(beginning: str, rest: str) -> None:
    grants = {f"t{beginning}*": Grant(team="*")}
    found = given_by(f"t{beginning}{rest}", grants)
    assert found == (None if rest == "" or "/" in rest else Grant(team=rest))
    assert given_by(f"T{beginning}{rest}", grants) is None


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("[]", "neither a JSON object nor a file"),
        ("{", "is not JSON"),
        ("{}", "must be a JSON object of groups"),
        ('{"a": {"role": "MEMBER"}, "a": {"role": "ORG_ADMIN"}}', "a name stands there twice"),
        ('{"a": "MEMBER"}', "must give role, team, organization"),
        ('{"a": {}}', "must give role"),
        ('{"a": {"role": null}}', "must give role"),
        ('{"a": {"roles": "MEMBER"}}', "Did you mean 'role'"),
        ('{"a": {"role": "LEAD"}}', "gives no role that there is"),
        ('{"a": {"organization": "Acme"}}', "gives no organization"),
        ('{"a": {"team": "*"}}', r"has no \*"),
        ('{"*": {"team": "*"}}', "is no group"),
        ('{"": {"team": "x"}}', "is no group"),
        ('{"/*/teams/*": {"team": "*"}}', "is no group"),
        ('{"team-*-x": {"team": "x"}}', "is no group"),
        ('{"admin-*": {"role": "ORG_ADMIN"}}', "name each group"),
        ('{"admin-*": {"role": "PLATFORM_ADMIN"}}', "name each group"),
    ],
)
def test_a_mapping_that_cannot_be_meant_ends_the_start_with_one_line(groups: str, message: str) -> None:
    with pytest.raises(SettingError, match=message) as failure:
        settings.read({"HOME": "/nowhere", "AGENT_ANALYTICS_GROUPS": groups})
    assert str(failure.value).startswith("AGENT_ANALYTICS_GROUPS")
    assert "\n" not in str(failure.value)


def test_a_mapping_may_lie_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "groups.json"
    file.write_text(json.dumps(RULES))
    read = settings.read({"HOME": "/nowhere", "AGENT_ANALYTICS_GROUPS": str(file)})
    assert read.groups == given_settings(RULES).groups


def test_the_api_and_signing_in_have_different_audiences() -> None:
    with pytest.raises(SettingError, match="API_AUDIENCE must not be the client id"):
        settings.read({"HOME": "/nowhere", "AGENT_ANALYTICS_API_AUDIENCE": "agent-analytics"})


def test_a_claim_is_found_by_its_own_name_before_any_path() -> None:
    claims = {"a.b": 1, "a": {"b": 2, "c.d": {"e": 3}, "c": {"d": {"e": 4}}}, "x": ["y"]}
    assert (found(claims, "a.b"), found(claims, "a.c.d.e"), found(claims, "a.c.x")) == (1, 3, None)
    assert (found(claims, "x.0"), found(claims, "a.b.c"), found(claims, "..")) == (None, None, None)
