"""What the API writes down in the audit, before it shows or sends what it tells of."""

from collections.abc import Sequence
from typing import Any

from fastapi import Request

from agent_analytics import audit
from agent_analytics.audit import Actor, Event
from agent_analytics.export import write_down
from agent_analytics.query import Query
from agent_analytics.scope import Principal, Scope
from agent_analytics.serving.api.problems import reference


def seen(
    request: Request, asking: Principal, organization: str | None, action: str, object: str | None, details: Any
) -> None:
    """Something of one organization, None for the platform; raises RecordUnavailable where it cannot be written."""
    event = Event(action, Actor.of(asking), organization, object, details, reference())
    audit.write(request.app.state.engines.record, event)


def exported(request: Request, asking: Principal, scope: Scope, action: str, queries: Sequence[Query]) -> None:
    """Answers that are taken away; raises RecordUnavailable where it cannot be written."""
    write_down(request.app.state.engines.record, action, Actor.of(asking), scope, queries, reference())
