"""Runs one by one, within the bearer's scope. Whoever sees another's run stands in the audit."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi import Path as Part
from fastapi import Query as Parameter

from agent_analytics import listing
from agent_analytics.answer import Answer, encode
from agent_analytics.listing import Listed, Run
from agent_analytics.scope import Principal
from agent_analytics.serving.api.bearer import Asking
from agent_analytics.serving.api.document import OneRun, Runs, returns
from agent_analytics.serving.api.parameters import Filtered, Known
from agent_analytics.serving.api.recording import seen

HEADERS = {"cache-control": "no-store"}
router = APIRouter(prefix="/v1/runs", tags=["runs"], dependencies=[Known])

Organization = Annotated[
    str | None, Parameter(description="Which organization's: one's own, unless one runs the platform.")
]
Sort = Annotated[str, Parameter(description="`started_at`, `cost` or `duration`: the greatest first.")]
Limit = Annotated[int, Parameter(description=f"How many at once: 1 to {listing.MOST}.")]
Cursor = Annotated[str | None, Parameter(description="`next` of the list before. It carries no rights.")]


@router.get("", summary="Runs, newest first", **returns(model=Runs))
def runs(
    request: Request,
    asking: Asking,
    asked: Filtered,
    organization: Organization = None,
    sort: Sort = "started_at",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """The runs that a file of the same parameters would hold, some at a time, without what may be long of them."""
    scope, engines = listing.within(asking, organization), request.app.state.engines
    (found,) = engines.answers([asked], scope, datetime.now(UTC))
    listed = listing.page(engines.record, found, scope, sort, limit, cursor)
    if _are_others(listed.runs, asking):
        seen(request, asking, scope.organization, "runs.listed", None, _told(found, listed, sort))
    return Response(encode(_shown(found, listed)), media_type="application/json", headers=HEADERS)


@router.get("/{run_id:path}", summary="One run", **returns(model=OneRun, missing=True))
def run(
    request: Request,
    asking: Asking,
    run_id: Annotated[str, Part(description="As its source sent it, percent-encoded.")],
    organization: Organization = None,
) -> Response:
    """All that is known of a run: for its initiator, a lead of its team, and who administers its organization."""
    scope = listing.within(asking, organization)
    found = listing.one(request.app.state.engines.record, scope, run_id)
    if _are_others([found], asking):
        seen(request, asking, scope.organization, "run.viewed", run_id, {"user": found["user"], "team": found["team"]})
    told = {"run": found, "reason": scope.reason}
    return Response(encode(told), media_type="application/json", headers=HEADERS)


def _are_others(runs: Iterable[Run], asking: Principal) -> bool:
    """Whether any is not the asker's own: a run of nobody is not."""
    return any(run["user"] is None or run["user"] != asking.user for run in runs)


def _told(found: Answer, listed: Listed, sort: str) -> dict[str, Any]:
    """Which runs were shown: those from the first to the last in this order."""
    first, last = listed.runs[0]["run_id"], listed.runs[-1]["run_id"]
    return found.query.to_json() | {"sort": sort, "rows": len(listed.runs), "first": first, "last": last}


def _shown(found: Answer, listed: Listed) -> dict[str, Any]:
    return {
        "runs": listed.runs,
        "next": listed.next,
        "from": found.days.first,
        "to": found.days.last,
        "timezone": found.zone,
        "reason": found.reason,
        "as_of": found.as_of,
        "notice": found.notice,
    }
