"""The routes below `/services/api`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi import Query as Parameter
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from agent_analytics import ranking
from agent_analytics.answer import encode
from agent_analytics.query import Query
from agent_analytics.scope import anonymous_scope_of, scope_of
from agent_analytics.serving.api import audit, document, exports, problems, runs
from agent_analytics.serving.api.bearer import Asking
from agent_analytics.serving.api.document import Answers, Freshness, Ranked, fails, returns
from agent_analytics.serving.api.engines import Engines
from agent_analytics.serving.api.limits import Limits
from agent_analytics.serving.machine_clients import MachineClients
from agent_analytics.settings import Settings

PREFIX = "/services/api"
MOST_QUERIES = 50
router = APIRouter()


EXAMPLE: Any = {
    "queries": [{"measures": ["runs", "cost"], "by": ["day"], "where": {"status": ["failed"]}, "last": "7d"}]
}


class Asked(BaseModel):
    """Queries, as `Query.to_json` writes them, answered in one call."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})
    queries: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MOST_QUERIES)]
    engine: str | None = None
    anonymous: bool = False


def create(engines: Engines, settings: Settings) -> FastAPI:
    """The application over these engines; the settings say whose tokens it takes."""
    app = described()
    app.state.engines = engines
    app.state.settings = settings
    app.state.machine_clients = MachineClients(settings)
    return app


def described() -> FastAPI:
    """The application without its engines: its routes, and what it says of itself."""
    app = FastAPI(
        title="Agent Analytics",
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    for each in (router, *(more.router for more in (exports, runs, audit))):
        app.include_router(each, prefix=PREFIX)
    problems.install(app)
    app.add_middleware(Limits)
    app.state.document = document.of(app)
    app.state.parameters = document.parameters(app.state.document)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.engines.start()
    yield
    app.state.engines.stop()


@router.post("/v1/query", summary="Answers", tags=["query"], **returns(exports.CSV, exports.ARROW, model=Answers))
def query(request: Request, asked: Asked, asking: Asking) -> Response:
    """Every query's answer, within the bearer's scope; of a single query also as CSV or Arrow, if that is accepted.

    If `anonymous`, of published lines of the bearer's organization.
    """
    write = exports.writer(request.headers.get("accept", ""), len(asked.queries))
    queries = [Query.from_json(data) for data in asked.queries]
    scope = (anonymous_scope_of if asked.anonymous else scope_of)(asking)
    found = request.app.state.engines.answers(queries, scope, datetime.now(UTC), asked.engine)
    if write is not None:
        return exports.sent(request, asking, found[0], write)
    return Response(
        encode({"answers": [each.to_json() for each in found]}),
        media_type="application/json",
        headers={"cache-control": "no-store"},
    )


Team = Annotated[str, Parameter(max_length=200, description="A team that the bearer is in, or has runs in.")]


@router.get("/v1/rank", summary="Rank in a team", tags=["query"], **returns(model=Ranked))
def rank(request: Request, asking: Asking, team: Team) -> Response:
    """The bearer's place in a team, by this month's runs."""
    now = datetime.now(UTC)
    found = request.app.state.engines.ask(lambda engine: ranking.rank(engine, asking, team, now))
    return JSONResponse(asdict(found))


@router.get("/v1/freshness", summary="How fresh the figures are", tags=["query"], **returns(model=Freshness))
def freshness(request: Request, asking: Asking) -> Response:
    """Up to which instant the figures count what was committed."""
    engine = request.app.state.engines.pick(None)
    return JSONResponse({"as_of": engine.as_of(datetime.now(UTC)).isoformat(), "engine": engine.name})


@router.get("/v1/openapi.json", summary="This document", tags=["query"], **returns("application/json"))
def openapi(request: Request, asking: Asking) -> Response:
    """Every route, its parameters and what it returns. Like all but the health of the API, for bearers alone."""
    return JSONResponse(request.app.state.document)


@router.get("/health/live", summary="Whether the process runs", tags=["health"])
def live() -> dict[str, str]:
    return {"status": "live"}


Since = Annotated[AwareDatetime | None, Parameter(description="What was committed at this instant must count.")]


@router.get("/health/ready", summary="Whether the cache follows the record", tags=["health"], responses=fails(422, 503))
def ready(request: Request, since: Since = None) -> Response:
    """200 once the cache follows the record, and counts all that was committed at `since`; 503 before."""
    cache, now = request.app.state.engines.cache, datetime.now(UTC)
    if not cache.ready or (since and cache.as_of(now) < since):
        return problems.problem(503, "The cache is being built.")
    return JSONResponse({"status": "ready", "as_of": cache.as_of(now).isoformat()})
