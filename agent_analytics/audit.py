"""The audit: who saw whose run, who exported what, who changed which setting. It is added to, never changed.

An event is written before what it tells of is shown; what cannot be written down is not shown.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.types.json import Jsonb

from agent_analytics import cursor
from agent_analytics.compile import Row, render
from agent_analytics.errors import Forbidden, QueryError, RecordUnavailable, unknown
from agent_analytics.scope import Principal
from agent_analytics.store import Connection, Record, enter
from agent_analytics.tables import audit

ACTIONS = {
    "run.viewed": "Somebody else's run was opened.",
    "runs.listed": "A list was shown that holds runs of others.",
    "export.runs": "Runs were taken away as a file.",
    "export.manifest": "What such a file holds was taken away.",
    "export.page": "A page's panels were taken away as a zip.",
    "export.answer": "One answer was taken away as CSV or Arrow.",
    "export.audit": "The audit itself was taken away.",
    "organization.changed": "An organization was created, or its name or time zone set.",
    "sql.login": "A person was given a database login of their own.",
}
VIAS = {
    "api": "A signed-in person, through the API.",
    "sql": "A signed-in person, for SQL of their own.",
    "command": "An account of the operating system, by a command.",
    "system": "The installation itself.",
}
MOST_AT_ONCE = 1000
COLUMNS = tuple(str(column.name) for column in audit.c if column.name != "id")
READERS = ("ORG_ADMIN", "PLATFORM_ADMIN")


@dataclass(frozen=True)
class Actor:
    """Who acted. `user` is the principal's, or an account of the operating system; `role` is None for the latter."""

    user: str | None
    role: str | None
    via: str

    @classmethod
    def of(cls, principal: Principal, via: str = "api") -> "Actor":
        return cls(principal.user, principal.role, via)


SYSTEM = Actor(None, None, "system")


@dataclass(frozen=True)
class Event:
    """What was done, by whom, to what. `organization` is None for what concerns the platform as a whole.

    `reference` is the request's, which stands in the log too. `details` are small and plain.
    """

    action: str
    actor: Actor
    organization: str | None
    object: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    reference: str | None = None

    def __post_init__(self) -> None:
        if self.action not in ACTIONS or self.actor.via not in VIAS:
            raise ValueError(
                f"Neither {self.action!r} nor {self.actor.via!r} may be new: declare them in ACTIONS, VIAS."
            )


@dataclass(frozen=True)
class Asked:
    """Which events: of this action, by this actor, in this organization, from `since` until before `until`."""

    action: str | None = None
    actor: str | None = None
    organization: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        if self.action is not None and self.action not in ACTIONS:
            raise QueryError(unknown("action", self.action, ACTIONS))

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        named = {"action": self.action, "actor": self.actor, "organization": self.organization}
        chosen: list[sa.ColumnElement[bool]] = [
            # PostgreSQL holds no NUL, so nothing has such a name.
            audit.c[name] == value if "\0" not in value else sa.false()
            for name, value in named.items()
            if value is not None
        ]
        since = [] if self.since is None else [audit.c.at >= self.since]
        return chosen + since + ([] if self.until is None else [audit.c.at < self.until])


def write(record: Record, *events: Event) -> None:
    """All events, committed, or RecordUnavailable."""
    try:
        with record.organization("") as connection:
            for event in events:
                append(connection, event)
    except psycopg.Error as error:
        raise RecordUnavailable(f"The audit cannot be written: {str(error).splitlines()[0]}") from error


def append(connection: Connection, event: Event) -> None:
    """The event as a part of a transaction of the service, which from here sees the event's organization."""
    enter(connection, event.organization or "")
    connection.execute(
        "insert into analytics.audit (organization, action, actor, role, via, object, details, reference) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s)",
        [
            *(event.organization, event.action, event.actor.user, event.actor.role, event.actor.via, event.object),
            *(Jsonb(dict(event.details)), event.reference),
        ],
    )


def organization_of(principal: Principal) -> str | None:
    """Whose audit this person reads, None for everybody's; raises Forbidden."""
    if principal.role not in READERS:
        raise Forbidden(f"The audit is read by {' and '.join(READERS)}, and you are a {principal.role}.")
    return principal.organization


def read(
    record: Record, organization: str | None, asked: Asked, limit: int, after: str | None = None
) -> tuple[list[Row], str | None]:
    """Events as rows of COLUMNS, the newest first, and the cursor of those that follow, None at the end.

    `organization` is whose audit is read, None for everybody's. Raises QueryError.
    """
    if not 1 <= limit <= MOST_AT_ONCE:
        raise QueryError(f"The limit is {limit}; use 1 to {MOST_AT_ONCE}.")
    chosen = sa.select(*(audit.c[name] for name in COLUMNS), audit.c.id).where(*asked.conditions())
    if after is not None:
        chosen = chosen.where(sa.tuple_(audit.c.at, audit.c.id) < sa.tuple_(*_place(after)))
    with record.reading(organization) as run:
        found = run(render(chosen.order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit + 1)))
    rows = [(row[0].astimezone(UTC), *row[1:-1]) for row in found[:limit]]
    more = len(found) > limit
    return rows, cursor.encode([rows[-1][0].isoformat(), found[limit - 1][-1]]) if more else None


def _place(after: str) -> tuple[Any, Any]:
    match cursor.decode(after):
        case [str() as at, int() as number] if 0 <= number < 2**63:
            return sa.literal(cursor.instant(at)), sa.literal(number, sa.BigInteger)
    raise cursor.wrong()


def every(record: Record, organization: str | None, asked: Asked) -> Iterator[Row]:
    """All of them, a few at a time."""
    after: str | None = None
    while True:
        rows, after = read(record, organization, asked, MOST_AT_ONCE, after)
        yield from rows
        if after is None:
            return
