"""Errors whose message is one line that says what is wrong, where, and how to mend it."""

from collections.abc import Iterable
from difflib import get_close_matches

MOST_LISTED = 30
LONGEST_SHOWN = 200


class AgentAnalyticsError(Exception):
    """Something a person can mend; the command line prints it and exits with `exit_status`."""

    exit_status = 1


class UsageError(AgentAnalyticsError):
    """What was asked for is not something we offer."""

    exit_status = 2


class SettingError(UsageError):
    """A setting has a value that cannot be used."""


class QueryError(UsageError):
    """The question is not one we can answer."""


class PeriodError(QueryError):
    """The range of days is not one we can answer for."""


class Forbidden(AgentAnalyticsError):
    """The role of the principal does not allow this."""


class NotFound(AgentAnalyticsError):
    """There is no such thing, or it is not the principal's to see: the two are told in the same words."""


class IngestError(AgentAnalyticsError):
    """Nothing of the file was taken."""


class RecordUnavailable(AgentAnalyticsError):
    """PostgreSQL does not answer, or its schema is not ours."""


class ServiceError(AgentAnalyticsError):
    """A process of the installation could not be started or reached."""


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The message for a name we do not know: the nearest one, and the valid ones, a long list cut."""
    names = list(known)
    near = get_close_matches(name, names, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    more = f" and {len(names) - MOST_LISTED:,} more" if len(names) > MOST_LISTED else ""
    listed = ", ".join(names[:MOST_LISTED]) or "none"
    return f"Unknown {kind} {name[:LONGEST_SHOWN]!r}.{hint} Known: {listed}{more}."
