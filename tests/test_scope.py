"""Who asks, and what that lets them see."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_analytics.errors import UsageError
from agent_analytics.scope import Principal, parse_principal, scope_of

texts = st.text(min_size=1, max_size=30)


def escaped(text: str) -> str:
    return "".join(f"\\{letter}" if letter in ":,=\\" else letter for letter in text)


@given(texts, st.lists(texts, max_size=3))
def test_any_user_and_team_can_be_written_with_escapes(user: str, teams: list[str]) -> None:
    written = f"TEAM_LEAD:acme:{escaped(user)}:{','.join(escaped(team) for team in teams)}"
    assert parse_principal(written) == Principal("TEAM_LEAD", "acme", user, tuple(teams))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ORG_ADMN:acme", "Unknown role 'ORG_ADMN'. Did you mean 'ORG_ADMIN'?"),
        ("ORG_ADMIN", "ORG_ADMIN must name an organization."),
        ("PLATFORM_ADMIN:acme", "PLATFORM_ADMIN must not name an organization."),
        ("ORG_ADMIN:Ac me", "'Ac me' is not an organization"),
        ("MEMBER:acme", "MEMBER must name a user."),
        ("MEMBER:acme:a:b:c", "--as 'MEMBER:acme:a:b:c' has too many parts"),
    ],
)
def test_who_asks_must_be_said_whole(text: str, message: str) -> None:
    with pytest.raises(UsageError) as failure:
        parse_principal(text)
    assert str(failure.value).startswith(message)


def test_each_scope_says_why() -> None:
    assert scope_of(parse_principal("PLATFORM_ADMIN")).organization is None
    assert scope_of(parse_principal("ORG_ADMIN:acme")).reason == "You see all of acme because you administer it."
    lead = scope_of(parse_principal("TEAM_LEAD:acme:lena:Search,Payments"))
    assert lead.reason == "You see the teams Search and Payments because you lead them, and your own runs."


@given(st.sampled_from(["MEMBER", "TEAM_LEAD"]), texts, st.lists(texts, max_size=3))
def test_a_principal_survives_json(role: str, user: str, teams: list[str]) -> None:
    principal = Principal(role, "acme", user, tuple(teams), "a@example.com", "A")
    assert Principal.from_json(principal.to_json()) == principal


@pytest.mark.parametrize("teams", ["Search", [1], {"a": 1}])
def test_hostile_json_makes_no_principal(teams: object) -> None:
    with pytest.raises(UsageError):
        Principal.from_json({"role": "TEAM_LEAD", "organization": "acme", "user": "u", "teams": teams})
