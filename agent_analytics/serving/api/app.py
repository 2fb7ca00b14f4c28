"""The routes below `/services/api`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from agent_analytics.answer import encode
from agent_analytics.asking import answers
from agent_analytics.errors import Forbidden
from agent_analytics.query import Query
from agent_analytics.scope import Principal, scope_of
from agent_analytics.serving import tokens
from agent_analytics.serving.api import problems
from agent_analytics.serving.api.engines import Engines

PREFIX = "/services/api"
MOST_QUERIES = 50
router = APIRouter(prefix=PREFIX)
_bearer = HTTPBearer(auto_error=False)


class Asked(BaseModel):
    """Queries, as `Query.to_json` writes them, answered in one call."""

    model_config = ConfigDict(extra="forbid")
    queries: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MOST_QUERIES)]
    engine: str | None = None


def create(engines: Engines, home: Path) -> FastAPI:
    """The application over these engines; tokens are checked with the keys in `home`."""
    app = FastAPI(title="Agent Analytics", lifespan=_lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.engines = engines
    app.state.home = home
    app.include_router(router)
    problems.install(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.engines.start()
    yield
    app.state.engines.stop()


def principal(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Principal:
    """Whom the bearer token speaks for."""
    try:
        return tokens.verify(request.app.state.home, credentials.credentials if credentials else "", datetime.now(UTC))
    except Forbidden as error:
        raise HTTPException(401, str(error), {"www-authenticate": "Bearer"}) from None


@router.post("/v1/query")
def query(request: Request, asked: Asked, asking: Annotated[Principal, Depends(principal)]) -> Response:
    """Every query's answer, within the bearer's scope."""
    queries = [Query.from_json(data) for data in asked.queries]
    engine = request.app.state.engines.pick(asked.engine)
    scope, now = scope_of(asking), datetime.now(UTC)
    found = [each.to_json() for each in answers(queries, scope, engine, now)]
    return Response(encode({"answers": found}), media_type="application/json", headers={"cache-control": "no-store"})


@router.get("/v1/freshness")
def freshness(request: Request, asking: Annotated[Principal, Depends(principal)]) -> dict[str, Any]:
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
