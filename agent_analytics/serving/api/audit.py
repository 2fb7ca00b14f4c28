"""The audit over HTTP, for who administers an organization or runs the platform."""

from collections.abc import Generator, Iterable
from datetime import datetime
from itertools import chain, islice
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi import Query as Parameter
from pydantic import AwareDatetime

from agent_analytics import audit, output
from agent_analytics.answer import encode
from agent_analytics.audit import Asked
from agent_analytics.compile import Row
from agent_analytics.scope import Principal
from agent_analytics.serving.api.bearer import Asking
from agent_analytics.serving.api.document import Events, returns
from agent_analytics.serving.api.exports import CSV, HEADERS, Stream, places
from agent_analytics.serving.api.parameters import Known
from agent_analytics.serving.api.recording import seen

AT_ONCE = 200
MOST_SHOWN = 200
router = APIRouter(prefix="/v1", tags=["audit"], dependencies=[Known])


def _asked(
    action: Annotated[str | None, Parameter(description="Only this action, such as `run.viewed`.")] = None,
    actor: Annotated[str | None, Parameter(description="Only what this user or account did.")] = None,
    organization: Annotated[str | None, Parameter(description="Only what concerns this organization.")] = None,
    since: Annotated[AwareDatetime | None, Parameter(description="From this instant on.")] = None,
    until: Annotated[AwareDatetime | None, Parameter(description="Up to before this instant.")] = None,
) -> Asked:
    return Asked(action, actor, organization, since, until)


Which = Annotated[Asked, Depends(_asked)]


@router.get("/audit", summary="Who saw, exported and changed what", **returns(model=Events))
def events(
    request: Request,
    asking: Asking,
    asked: Which,
    limit: Annotated[int, Parameter(description=f"How many at once: 1 to {audit.MOST_AT_ONCE}.")] = AT_ONCE,
    cursor: Annotated[str | None, Parameter(description="`next` of the list before.")] = None,
) -> Response:
    """Of one's own organization, or for who runs the platform of all: the newest first."""
    record = request.app.state.engines.record
    rows, following = audit.read(record, audit.organization_of(asking), asked, limit, cursor)
    told = {"events": [dict(zip(audit.COLUMNS, row, strict=True)) for row in rows], "next": following}
    return Response(encode(told), media_type="application/json", headers=HEADERS)


@router.get("/audit.csv", summary="The audit as CSV", **returns(CSV))
def events_csv(request: Request, asking: Asking, asked: Which) -> Response:
    """All of it that matches, one event a line under a header, the newest first. That stands in the audit too."""
    whose = audit.organization_of(asking)
    return Stream(_lines(request, asking, whose, asked), f"audit-{whose or 'all'}.csv", CSV)


def _lines(request: Request, asking: Principal, whose: str | None, asked: Asked) -> Generator[bytes, None, None]:
    record = request.app.state.engines.record
    filters = {name: _plain(value) for name, value in vars(asked).items() if value is not None}
    with places.take(asking):
        seen(request, asking, whose, "export.audit", None, {"where": filters})
        yield from _in_blocks(audit.every(record, whose, asked))


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else value.replace("\0", "")[:MOST_SHOWN]


def _in_blocks(rows: Iterable[Row]) -> Generator[bytes, None, None]:
    """CSV that no spreadsheet runs."""
    lines = chain([audit.COLUMNS], rows)
    while block := list(islice(lines, audit.MOST_AT_ONCE)):
        yield output.csv_of(block).encode()
