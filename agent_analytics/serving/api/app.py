"""The routes below `/services/api`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
from agent_analytics.serving.api import exports, problems
from agent_analytics.serving.api.bearer import Asking
from agent_analytics.serving.api.engines import Engines
from agent_analytics.serving.machine_clients import MachineClients
from agent_analytics.settings import Settings

PREFIX = "/services/api"
MOST_QUERIES = 50
router = APIRouter(prefix=PREFIX)


class Asked(BaseModel):
    """Queries, as `Query.to_json` writes them, answered in one call."""

    model_config = ConfigDict(extra="forbid")
    queries: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MOST_QUERIES)]
    engine: str | None = None
    anonymous: bool = False


def create(engines: Engines, settings: Settings) -> FastAPI:
    """The application over these engines; the settings say whose tokens it takes."""
    app = FastAPI(title="Agent Analytics", lifespan=_lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.engines = engines
    app.state.settings = settings
    app.state.machine_clients = MachineClients(settings)
    app.include_router(router)
    app.include_router(exports.router, prefix=PREFIX)
    problems.install(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.engines.start()
    yield
    app.state.engines.stop()


@router.post("/v1/query")
def query(request: Request, asked: Asked, asking: Asking) -> Response:
    """Every query's answer, within the bearer's scope; of a single query also as CSV or Arrow, if that is accepted.

    If `anonymous`, of published lines of the bearer's organization.
    """
    write = exports.writer(request.headers.get("accept", ""), len(asked.queries))
    queries = [Query.from_json(data) for data in asked.queries]
    scope = (anonymous_scope_of if asked.anonymous else scope_of)(asking)
    found = request.app.state.engines.answers(queries, scope, datetime.now(UTC), asked.engine)
    if write is not None:
        return write(found[0])
    return Response(
        encode({"answers": [each.to_json() for each in found]}),
        media_type="application/json",
        headers={"cache-control": "no-store"},
    )


@router.get("/v1/rank")
def rank(request: Request, asking: Asking, team: Annotated[str, Parameter(max_length=200)]) -> ranking.Rank:
    """The bearer's place in a team, by this month's runs."""
    now = datetime.now(UTC)
    return request.app.state.engines.ask(lambda engine: ranking.rank(engine, asking, team, now))


@router.get("/v1/freshness")
def freshness(request: Request, asking: Asking) -> dict[str, Any]:
    """Up to which instant the figures count what was committed."""
    engine = request.app.state.engines.pick(None)
    return {"as_of": engine.as_of(datetime.now(UTC)), "engine": engine.name}


@router.get("/health/live")
def live() -> dict[str, str]:
    return {"status": "live"}


@router.get("/health/ready")
def ready(request: Request, since: AwareDatetime | None = None) -> Response:
    """200 once the cache follows the record, and counts all that was committed at `since`; 503 before."""
    cache, now = request.app.state.engines.cache, datetime.now(UTC)
    if not cache.ready or (since and cache.as_of(now) < since):
        return problems.problem(503, "The cache is being built.")
    return JSONResponse({"status": "ready", "as_of": cache.as_of(now).isoformat()})
