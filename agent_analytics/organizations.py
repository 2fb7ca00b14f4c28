"""Organizations: their names and time zones."""

from dataclasses import asdict, dataclass

from agent_analytics import audit
from agent_analytics.audit import SYSTEM, Actor, Event
from agent_analytics.errors import UsageError
from agent_analytics.period import time_zone
from agent_analytics.scope import ORGANIZATION
from agent_analytics.store import Connection, Record


@dataclass(frozen=True)
class Organization:
    organization: str
    name: str
    timezone: str


def unscoped_list(record: Record) -> list[Organization]:
    """Every organization, by slug."""
    with record.unscoped_reader() as connection:
        rows = connection.execute(
            "select organization, name, timezone from analytics.organizations order by organization"
        )
        return [Organization(*row) for row in rows]


def set_organization(
    record: Record, slug: str, name: str | None = None, timezone: str | None = None, by: Actor = SYSTEM
) -> Organization:
    """Create the organization or change what is given of it; another zone moves its runs to other days.

    A new one is called by its slug and lives in UTC where nothing else is said. The change stands in the audit,
    or is not made. Raises UsageError, PeriodError.
    """
    _check(slug, name, timezone)
    with record.organization(slug) as connection:
        before = _read(connection)
        row = connection.execute(
            """
            insert into analytics.organizations (organization, name, timezone)
            values (%(slug)s, coalesce(%(name)s, %(slug)s), coalesce(%(timezone)s, 'UTC'))
            on conflict (organization) do update
            set name = coalesce(%(name)s, organizations.name),
                timezone = coalesce(%(timezone)s, organizations.timezone)
            returning organization, name, timezone
            """,
            {"slug": slug, "name": name, "timezone": timezone},
        ).fetchone()
        # No day stays what it was: the cache reads the organization again, whole.
        connection.execute("insert into analytics.changes (organization) values (%s)", [slug])
        assert row is not None  # noqa: S101 - an upsert returns its row
        after = Organization(*row)
        if after != before:
            details = {"before": before and asdict(before), "after": asdict(after)}
            audit.append(connection, Event("organization.changed", by, slug, slug, details))
    return after


def _read(connection: Connection) -> Organization | None:
    row = connection.execute("select organization, name, timezone from analytics.organizations").fetchone()
    return Organization(*row) if row else None


def _check(slug: str, name: str | None, timezone: str | None) -> None:
    if not ORGANIZATION.fullmatch(slug):
        raise UsageError(f"{slug!r} is not an organization: use a-z, 0-9 and dashes.")
    if name is not None and not (0 < len(name) <= 200 and name.isprintable()):
        raise UsageError("The name must have 1 to 200 printable characters.")
    if timezone is not None:
        time_zone(timezone)
