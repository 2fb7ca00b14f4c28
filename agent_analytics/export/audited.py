"""What the audit says of an export: who took away the answers to which questions, and in whose rights."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent_analytics import audit
from agent_analytics.audit import Actor, Event
from agent_analytics.organizations import unscoped_list
from agent_analytics.query import Query
from agent_analytics.scope import Scope
from agent_analytics.store import Record

MOST_VALUES = 20


def write_down(
    record: Record,
    action: str,
    actor: Actor,
    scope: Scope,
    queries: Sequence[Query],
    reference: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> None:
    """In the audit of each organization that the queries ask about; raises RecordUnavailable."""
    details = {"reason": scope.reason, "queries": [_told(query, scope) for query in queries]} | dict(more or {})
    organizations = _organizations(record, scope, queries)
    audit.write(record, *(Event(action, actor, each, None, details, reference) for each in organizations))


def _organizations(record: Record, scope: Scope, queries: Sequence[Query]) -> Sequence[str | None]:
    """Where there are none yet, the platform as a whole."""
    if scope.organization is not None:
        return [scope.organization]
    named = [dict(query.where).get("organization") for query in queries]
    if None in named:
        return [each.organization for each in unscoped_list(record)] or [None]
    return sorted({each for chosen in named if chosen for each in chosen if each is not None}) or [None]


def _told(query: Query, scope: Scope) -> dict[str, Any]:
    """The query, long filters cut. One of several organizations must not tell any of them a name of another's."""
    told = query.to_json()
    for name, values in told.get("where", {}).items():
        shown = values[:MOST_VALUES] if scope.organization else []
        more = len(values) - len(shown)
        told["where"][name] = [*shown, f"and {more} more" if shown else f"{more} values"] if more else shown
    return told
