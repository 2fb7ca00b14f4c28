"""What membership in a group at the identity provider gives: said by the operator, group by group, never guessed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from agent_analytics.errors import SettingError, unknown
from agent_analytics.roles import ORGANIZATION, ROLES

NAME = "AGENT_ANALYTICS_GROUPS"
REST = "*"
BY_PATTERN = ("TEAM_LEAD", "MEMBER")


@dataclass(frozen=True)
class Grant:
    """What one group gives. In a pattern's, `*` as team or organization is what the group's name has in its place."""

    role: str | None = None
    team: str | None = None
    organization: str | None = None


def read_groups(text: str) -> Mapping[str, Grant]:
    """Grants by group, from JSON or from the file that `text` names. Raises SettingError.

    A key is a group's exact name, or a pattern: a beginning and `*`, which stands for the rest of the name, at least
    one character and no slash.
    """
    try:
        written = text if text.lstrip().startswith("{") else Path(text).read_text()
        document = json.loads(written, object_pairs_hook=_once)
    except OSError as error:
        raise SettingError(f"{NAME}: {text!r} is neither a JSON object nor a file ({error.strerror}).") from None
    except ValueError as error:
        raise SettingError(f"{NAME} is not JSON: {error}.") from None
    if not isinstance(document, dict) or not document:
        raise SettingError(f"{NAME} must be a JSON object of groups, each with what it gives.")
    return {group: _grant(group, given) for group, given in document.items()}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are told apart: JSON would let the last of two win."""
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name stands there twice")
    return dict(pairs)


def _grant(group: str, given: Any) -> Grant:
    names = [field.name for field in fields(Grant)]
    values = list(given.values()) if isinstance(given, dict) else []
    if not values or not all(value and isinstance(value, str) for value in values):
        raise SettingError(f"{NAME}: {group!r} must give {', '.join(names)}, or some of them, each a text.")
    for name in given.keys() - set(names):
        raise SettingError(f"{NAME}: {group!r}: " + unknown("grant", name, names))
    grant = Grant(**given)
    fault = _fault(group, grant)
    if fault:
        raise SettingError(f"{NAME}: {group!r} {fault}.")
    return grant


def _fault(group: str, grant: Grant) -> str | None:
    """What is wrong with a grant of this group, if anything."""
    if REST in group[:-1] or group in ("", REST):
        return "is no group: write its exact name, or a beginning and one * at the end"
    if grant.role is not None and grant.role not in ROLES:
        return f"gives no role that there is: use one of {', '.join(ROLES)}"
    if group.endswith(REST) and grant.role not in (None, *BY_PATTERN):
        return f"gives {grant.role} to all groups of a pattern: name each group"
    if not group.endswith(REST) and REST in (grant.team, grant.organization):
        return "has no * that the grant could take its * from"
    if grant.organization not in (None, REST) and not ORGANIZATION.fullmatch(str(grant.organization)):
        return "gives no organization: use a-z, 0-9 and dashes"
    return None


def given_by(group: str, grants: Mapping[str, Grant]) -> Grant | None:
    """What a group gives: by its exact name, else by the longest pattern that it fits.

    >>> given_by("team-Search", {"team-*": Grant(team="*")})
    Grant(role=None, team='Search', organization=None)
    """
    if group in grants and not group.endswith(REST):
        return grants[group]
    patterns = [key for key in grants if key.endswith(REST) and _fits(group, key[:-1])]
    if not patterns:
        return None
    pattern = max(patterns, key=len)
    rest, grant = group[len(pattern) - 1 :], grants[pattern]
    team, organization = (rest if each == REST else each for each in (grant.team, grant.organization))
    return Grant(grant.role, team, organization)


def _fits(group: str, beginning: str) -> bool:
    rest = group.removeprefix(beginning)
    return group.startswith(beginning) and rest != "" and "/" not in rest
