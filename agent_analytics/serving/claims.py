"""From verified claims to a principal: a strict grammar, and nothing is guessed."""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from agent_analytics.groups import Grant, given_by
from agent_analytics.scope import ORGANIZATION, ROLES, Principal
from agent_analytics.serving.oidc import IdentityRefused, shown
from agent_analytics.settings import Settings

LONGEST = 200
MOST_TEAMS = 200
MOST_GROUPS = 1000


def principal(claims: Mapping[str, Any], settings: Settings) -> Principal:
    """The principal that verified claims describe; the settings say which claim holds what, and what groups give.

    `organization`: a slug. `role`: one of the four. `teams`: a list of at most 200 texts, or absent. `user`: a text.
    `email`, `name`: texts, or absent; an e-mail address that the provider calls unverified counts as absent.
    A text has 1 to 200 characters, none of them a control character. A PLATFORM_ADMIN belongs to no organization:
    one who comes with an organization or teams is refused, for it is unclear which rights were meant.
    Claim and groups may both give a role or an organization, if they give the same: of two that differ neither is
    the right one, and the greater would let whoever adds people to one group too many raise them. Teams add up.
    Raises IdentityRefused for everything else.
    """
    _refuse_partial(claims, settings)
    granted = _granted(claims, settings)
    role = _role(settings.claim_role, _one(claims, settings.claim_role, [each.role for each in granted]))
    teams = _teams(settings.claim_teams, found(claims, settings.claim_teams), [each.team for each in granted])
    organization = _one(claims, settings.claim_organization, [each.organization for each in granted])
    if role == "PLATFORM_ADMIN" and (organization is not None or teams):
        raise IdentityRefused(f"A PLATFORM_ADMIN belongs to no organization, but came with {shown(organization)}.")
    email = _email(claims)
    user = email if settings.claim_user == "email" else found(claims, settings.claim_user)
    return Principal(
        role=role,
        organization=None if role == "PLATFORM_ADMIN" else _organization(settings.claim_organization, organization),
        user=_text(settings.claim_user, user),
        teams=teams,
        email=email,
        name=_text_or_none("name", claims.get("name")),
    )


def found(claims: Mapping[str, Any], name: str) -> Any:
    """The claim of exactly that name, else the one at that path of names with dots; None where there is neither.

    Where a name on the way has dots itself, the longest that there is counts.

    >>> found({"realm_access": {"roles": ["lead"]}}, "realm_access.roles")
    ['lead']
    """
    if name in claims:
        return claims[name]
    dots = [place for place, letter in enumerate(name) if letter == "."]
    for place in reversed(dots):
        inner = claims.get(name[:place])
        if isinstance(inner, Mapping):
            return found(inner, name[place + 1 :])
    return None


def _refuse_partial(claims: Mapping[str, Any], settings: Settings) -> None:
    """A claim kept elsewhere (OpenID Connect Core 5.6.2) is not empty: Entra does so for people of very many groups."""
    read = {settings.claim_organization, settings.claim_role, settings.claim_teams, settings.claim_user}
    read |= {settings.claim_groups} if settings.groups else set()
    elsewhere = claims.get("_claim_names")
    names = set(elsewhere) if isinstance(elsewhere, Mapping) else set()
    names |= {"groups"} if claims.get("hasgroups") not in (None, False, "false") else set()
    missing = {name for name in read if name in names or name.partition(".")[0] in names}
    if missing:
        raise IdentityRefused(
            f"The provider left out the claim {min(missing)!r}, because it is too long (too many groups). "
            "Let it send only the groups that are assigned to our application, or application roles."
        )


def _granted(claims: Mapping[str, Any], settings: Settings) -> list[Grant]:
    """What the person's groups give; groups that the setting does not name give nothing."""
    if settings.groups is None:
        return []
    groups = found(claims, settings.claim_groups)
    if groups is None:
        return []
    if not isinstance(groups, list) or len(groups) > MOST_GROUPS:
        raise IdentityRefused(
            f"The claim {settings.claim_groups!r} must be a list of at most {MOST_GROUPS} texts, not {shown(groups)}."
        )
    given = (given_by(_text(settings.claim_groups, group), settings.groups) for group in groups)
    return [each for each in given if each is not None]


def _one(claims: Mapping[str, Any], claim: str, from_groups: Iterable[str | None]) -> Any:
    """What the claim and all groups say alike; None where none says anything."""
    said = [value for value in (found(claims, claim), *from_groups) if value is not None]
    if any(value != said[0] for value in said):
        raise IdentityRefused(f"The claim {claim!r} and the groups say different things: {shown(said)}.")
    return said[0] if said else None


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


def _teams(claim: str, value: object, from_groups: Iterable[str | None]) -> tuple[str, ...]:
    """In the order in which the provider names them, each once."""
    listed = [] if value is None else value
    teams = [*listed, *filter(None, from_groups)] if isinstance(listed, list) else []
    if not isinstance(listed, list) or len(teams) > MOST_TEAMS:
        raise IdentityRefused(f"The claim {claim!r} must be a list of at most {MOST_TEAMS} texts, not {shown(value)}.")
    return tuple(dict.fromkeys(_text(claim, team) for team in teams))


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
