"""From verified claims to a principal: a strict grammar, and nothing is guessed."""

import unicodedata
from collections.abc import Mapping
from typing import Any

from agent_analytics.scope import ORGANIZATION, ROLES, Principal
from agent_analytics.serving.oidc import IdentityRefused, shown
from agent_analytics.settings import Settings

LONGEST = 200
MOST_TEAMS = 200


def principal(claims: Mapping[str, Any], settings: Settings) -> Principal:
    """The principal that verified claims describe; the settings say which claim holds what.

    `organization`: a slug. `role`: one of the four. `teams`: a list of at most 200 texts, or absent. `user`: a text.
    `email`, `name`: texts, or absent; an e-mail address that the provider calls unverified counts as absent.
    A text has 1 to 200 characters, none of them a control character. A PLATFORM_ADMIN belongs to no organization:
    one who comes with an organization or teams is refused, for it is unclear which rights were meant.
    Raises IdentityRefused for everything else.
    """
    role = _role(settings.claim_role, claims.get(settings.claim_role))
    teams = _teams(settings.claim_teams, claims.get(settings.claim_teams))
    organization = claims.get(settings.claim_organization)
    if role == "PLATFORM_ADMIN" and (organization is not None or teams):
        raise IdentityRefused(f"A PLATFORM_ADMIN belongs to no organization, but came with {shown(organization)}.")
    email = _email(claims)
    user = email if settings.claim_user == "email" else claims.get(settings.claim_user)
    return Principal(
        role=role,
        organization=None if role == "PLATFORM_ADMIN" else _organization(settings.claim_organization, organization),
        user=_text(settings.claim_user, user),
        teams=teams,
        email=email,
        name=_text_or_none("name", claims.get("name")),
    )


def _role(claim: str, value: object) -> str:
    if not (isinstance(value, str) and value in ROLES):
        raise IdentityRefused(f"The claim {claim!r} must be one of {', '.join(ROLES)}, not {shown(value)}.")
    return value


def _organization(claim: str, value: object) -> str:
    if not (isinstance(value, str) and ORGANIZATION.fullmatch(value)):
        raise IdentityRefused(
            f"The claim {claim!r} must be an organization in lower-case letters, digits and dashes, not {shown(value)}."
        )
    return value


def _teams(claim: str, value: object) -> tuple[str, ...]:
    """In the order in which the provider names them, each once."""
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MOST_TEAMS:
        raise IdentityRefused(f"The claim {claim!r} must be a list of at most {MOST_TEAMS} texts, not {shown(value)}.")
    return tuple(dict.fromkeys(_text(claim, team) for team in value))


def _email(claims: Mapping[str, Any]) -> str | None:
    return None if claims.get("email_verified") is False else _text_or_none("email", claims.get("email"))


def _text_or_none(claim: str, value: object) -> str | None:
    """Providers send an empty text for what they do not know."""
    return None if value is None or value == "" else _text(claim, value)


def _text(claim: str, value: object) -> str:
    if not (isinstance(value, str) and 1 <= len(value) <= LONGEST and not any(map(_is_control, value))):
        raise IdentityRefused(
            f"The claim {claim!r} must be a text of 1 to {LONGEST} characters, none a control character, "
            f"not {shown(value)}."
        )
    return value


def _is_control(character: str) -> bool:
    """Also halves of surrogate pairs: they are not text, and PostgreSQL takes none."""
    return unicodedata.category(character) in ("Cc", "Cs")
