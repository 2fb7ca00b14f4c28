"""Who asks, and which rows that lets them see."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import sqlalchemy as sa

from agent_analytics.errors import Forbidden, UsageError, unknown
from agent_analytics.roles import ORGANIZATION as ORGANIZATION
from agent_analytics.roles import ROLES as ROLES
from agent_analytics.tables import local_runs, published_lines, published_people

MOST_NAMED = 5
FEWEST = 5


@dataclass(frozen=True)
class Principal:
    """A person, as verified claims describe them. Only authentication (and `--as`) makes one.

    `organization` is None for a PLATFORM_ADMIN, who belongs to none.
    """

    role: str
    organization: str | None
    user: str | None = None
    teams: tuple[str, ...] = ()
    email: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise UsageError(unknown("role", self.role, ROLES))
        if (self.organization is None) != (self.role == "PLATFORM_ADMIN"):
            raise UsageError(f"{self.role} must {'not ' * (self.organization is not None)}name an organization.")
        if self.organization is not None and not ORGANIZATION.fullmatch(self.organization):
            raise UsageError(f"{self.organization!r} is not an organization: use a-z, 0-9 and dashes.")
        if self.role in ("TEAM_LEAD", "MEMBER") and not self.user:
            raise UsageError(f"{self.role} must name a user.")

    def to_json(self) -> dict[str, Any]:
        """Plain data for a token or the hub; `from_json` is its inverse."""
        return {**asdict(self), "teams": list(self.teams)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Principal":
        """A principal from what `to_json` gave; raises UsageError for anything else."""
        texts: dict[str, Any] = {field.name: data.get(field.name) for field in fields(cls) if field.name != "teams"}
        teams = data.get("teams", [])
        if not isinstance(teams, list) or not all(isinstance(team, str) for team in teams):
            raise UsageError("teams must be a list of texts.")
        if not all(value is None or isinstance(value, str) for value in texts.values()):
            raise UsageError("A principal's fields must be texts.")
        return cls(**texts, teams=tuple(teams))


@dataclass(frozen=True)
class Scope:
    """Which rows a principal may see, and why. Never part of a query: a saved link carries no rights.

    `organization` is None for all organizations. Where `narrow`, only the runs of `user` and of `teams` are seen.
    Where `anonymous`, no runs at all: lines that were published of the organization, but for those in which `user`
    could see too few people, knowing what they and `teams` did.
    """

    role: str
    organization: str | None
    reason: str
    narrow: bool = False
    user: str | None = None
    teams: tuple[str, ...] = ()
    anonymous: bool = False

    @property
    def relation(self) -> sa.Table:
        """What is counted, of the record."""
        return published_lines if self.anonymous else local_runs

    @property
    def dimensions(self) -> frozenset[str]:
        """What `condition` looks at."""
        return frozenset(("user", "team") if self.teams else ("user",) if self.narrow else ())

    def condition(self, relation: sa.FromClause = local_runs) -> sa.ColumnElement[bool]:
        """The base condition to which every filter is added."""
        column = relation.c
        within = sa.true() if self.organization is None else column.organization == self.organization
        if self.anonymous:
            return sa.and_(within, self._shown(relation))
        if not self.narrow:
            return within
        own = column.user == self.user
        return sa.and_(within, sa.or_(own, column.team.in_(self.teams)) if self.teams else own)

    def _shown(self, lines: sa.FromClause) -> sa.ColumnElement[bool]:
        """Whether what is left of a line without `user` and `teams`, all that this person knows, tells of nobody.

        The rule of publication sees to it for any one person and any one team alone.
        """
        if "published_at" not in lines.c:
            raise Forbidden("Anonymous figures are sums; the runs behind them are shown to nobody through them.")
        if not self.teams:
            return sa.true()
        people = published_people.c
        other, known = people.user.is_distinct_from(self.user), sa.cast(list(self.teams), people.teams.type)
        unseen = sa.and_(other, sa.not_(people.teams.overlap(known)))
        partly = sa.func.count().filter(sa.and_(other, sa.not_(people.teams.contained_by(known))))
        many = sa.func.count().filter(unseen) >= FEWEST
        even = 2 * sa.func.max(people.cost).filter(unseen) <= sa.func.sum(people.cost).filter(unseen)
        # One line at a time, by its key: PostgreSQL would go through all lines' people again for each line.
        its = (people.organization == lines.c.organization, people.line == lines.c.line)
        return sa.select(sa.or_(partly == 0, sa.and_(many, even))).where(*its).correlate(lines).scalar_subquery()


def scope_of(principal: Principal) -> Scope:
    """The rows that a principal's role lets them see."""
    role, organization, user = principal.role, principal.organization, principal.user
    match role:
        case "PLATFORM_ADMIN":
            return Scope(role, None, "You see every organization because you run the platform.")
        case "ORG_ADMIN":
            return Scope(role, organization, f"You see all of {organization} because you administer it.")
        case "TEAM_LEAD":
            return Scope(role, organization, _reason_of_a_lead(principal.teams), True, user, principal.teams)
    return Scope(role, organization, f"You see your own runs because you are a member of {organization}.", True, user)


def _reason_of_a_lead(teams: Sequence[str]) -> str:
    """
    >>> _reason_of_a_lead(["Platform", "Payments"])
    'You see the teams Platform and Payments because you lead them, and your own runs.'
    """
    if not teams:
        return "You see your own runs: you are a team lead, but of no team."
    if len(teams) == 1:
        return f"You see team {teams[0]} because you lead it, and your own runs."
    more = len(teams) - MOST_NAMED
    named = [*teams[:MOST_NAMED], f"{more} more"] if more > 0 else list(teams)
    return f"You see the teams {', '.join(named[:-1])} and {named[-1]} because you lead them, and your own runs."


def anonymous_scope_of(principal: Principal) -> Scope:
    """The published lines of a person's organization. Raises Forbidden for one who belongs to none."""
    if principal.organization is None:
        raise Forbidden("Anonymous figures are those of your organization, and you belong to none.")
    reason = (
        f"You see figures of all of {principal.organization} that tell of nobody: "
        f"each adds up at least {FEWEST} people, whoever else you know."
    )
    lead = principal.role == "TEAM_LEAD"
    teams = principal.teams if lead else ()
    return Scope(principal.role, principal.organization, reason, user=principal.user, teams=teams, anonymous=True)


def parse_principal(text: str) -> Principal:
    """`ROLE:ORG[:USER[:TEAM,TEAM]]`, where a backslash escapes `:`, `,` and `=`."""
    parts = split(text, ":")
    if len(parts) > 4:
        raise UsageError(f"--as {text!r} has too many parts; write ROLE:ORG[:USER[:TEAM,TEAM]].")
    role, organization, user, teams = parts + [""] * (4 - len(parts))
    names = tuple(unescape(team) for team in split(teams, ",") if team)
    return Principal(unescape(role), unescape(organization) or None, unescape(user) or None, names)


def split(text: str, separator: str) -> list[str]:
    r"""The parts between unescaped separators, escapes kept.

    >>> split(r"a\:b:c", ":")
    ['a\\:b', 'c']
    """
    parts = [""]
    for piece in re.findall(r"\\.|.", text, re.DOTALL):
        if piece == separator:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def unescape(text: str) -> str:
    r"""The text without its escapes.

    >>> unescape(r"a\:b")
    'a:b'
    """
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
