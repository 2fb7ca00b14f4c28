"""Files for download: the runs behind an answer, one answer, or a page's panels, within the bearer's scope."""

import json
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain
from typing import Annotated, Any

from anyio import CancelScope
from fastapi import APIRouter, Request, Response
from fastapi import Query as Parameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import Receive, Send
from starlette.types import Scope as Connected

from agent_analytics import export
from agent_analytics.answer import Answer, encode
from agent_analytics.errors import QueryError, unknown
from agent_analytics.output import as_csv
from agent_analytics.query import Query
from agent_analytics.scope import Scope, scope_of
from agent_analytics.serving.api.bearer import Asking

MOST_AT_ONCE = 8
MOST_PANELS = 50
LONGEST = 50_000
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"
HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_PARAMETERS = ("from", "to", "last", "where")
_places = threading.BoundedSemaphore(MOST_AT_ONCE)
router = APIRouter(prefix="/v1/export")


class Panel(BaseModel):
    """What a panel is called, and what it shows, as `Query.to_json` writes it."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(max_length=200)]
    query: dict[str, Any]


class View(BaseModel):
    """A page as it is seen."""

    model_config = ConfigDict(extra="forbid")
    panels: Annotated[list[Panel], Field(min_length=1, max_length=MOST_PANELS)]


class Stream(StreamingResponse):
    """Blocks as they are made. One that cannot be made breaks the connection, so that a cut file is noticed.

    The blocks are closed whatever happens, so that PostgreSQL stops when the reader has gone.
    """

    def __init__(self, blocks: Generator[bytes, None, None], file: str, media_type: str) -> None:
        first = next(blocks, b"")
        super().__init__(chain([first], blocks), headers=_attached(file), media_type=media_type)
        self._blocks = blocks

    async def __call__(self, scope: Connected, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with CancelScope(shield=True):
                await run_in_threadpool(self._blocks.close)


@router.get("/runs.csv")
def runs_csv(request: Request, asking: Asking) -> Response:
    """The runs, one a line under a header."""
    return _runs(request, scope_of(asking), "csv", CSV)


@router.get("/runs.parquet")
def runs_parquet(request: Request, asking: Asking) -> Response:
    """The runs, exact to the type."""
    return _runs(request, scope_of(asking), "parquet", PARQUET)


@router.get("/runs.manifest.json")
def runs_manifest(request: Request, asking: Asking) -> Response:
    """What `runs.csv` of the same parameters held at the instant `as_of`."""
    scope = scope_of(asking)
    (found,) = request.app.state.engines.answers([export.totals(_query(request), scope)], scope, datetime.now(UTC))
    told = encode(export.manifest(export.name_of(found, scope, "csv"), found))
    file = export.name_of(found, scope, "manifest.json")
    return Response(told, media_type="application/json", headers=_attached(file))


@router.get("/page.zip")
def page_of_link(request: Request, asking: Asking, view: Annotated[str, Parameter(max_length=LONGEST)]) -> Response:
    """As `page`, for a link: the view as JSON."""
    return _page(request, scope_of(asking), _view(view))


@router.post("/page.zip")
def page(request: Request, asking: Asking, view: View) -> Response:
    """One CSV for each panel, and `manifest.json`."""
    return _page(request, scope_of(asking), view)


def writer(accept: str, queries: int) -> Callable[[Answer], Response] | None:
    """How to write the one answer if something else than JSON is accepted first. Raises QueryError for several."""
    kinds = [kind.split(";")[0].strip().lower() for kind in accept.split(",")]
    known = [kind for kind in kinds if kind in (*_WRITERS, "application/json")]
    write = _WRITERS.get(known[0]) if known else None
    if write is not None and queries != 1:
        raise QueryError(f"{known[0]} holds one answer; ask one query, or accept application/json.")
    return write


def _csv(found: Answer) -> Response:
    return Response(as_csv(found), media_type=CSV, headers=_attached("answer.csv"))


def _arrow(found: Answer) -> Response:
    return Response(export.arrow_of(found), media_type=ARROW, headers=_attached("answer.arrows"))


_WRITERS = {CSV: _csv, ARROW: _arrow}


def _runs(request: Request, scope: Scope, kind: str, media_type: str) -> Response:
    """Which days these are, and whether each value is known, the quickest engine tells before the first byte."""
    engines = request.app.state.engines
    (found,) = engines.answers([_query(request)], scope, datetime.now(UTC))
    return Stream(_copied(engines.record, found, scope, kind), export.name_of(found, scope, kind), media_type)


def _copied(record: Any, found: Answer, scope: Scope, kind: str) -> Generator[bytes, None, None]:
    with _place(), record.snapshot(scope.organization) as connection:
        yield from export.RUN_FORMATS[kind](found, scope, connection)


@contextmanager
def _place() -> Iterator[None]:
    """One of the few that may read the record at length; a slow reader keeps a snapshot open for as long."""
    if not _places.acquire(blocking=False):
        detail = f"{MOST_AT_ONCE} exports are being made already. Try again when one has ended."
        raise HTTPException(503, detail, {"retry-after": "30"})
    try:
        yield
    finally:
        _places.release()


def _page(request: Request, scope: Scope, view: View) -> Response:
    queries = [Query.from_json(panel.query) for panel in view.panels]
    found = request.app.state.engines.answers(queries, scope, datetime.now(UTC))
    names = (panel.name for panel in view.panels)
    return Stream(export.page(list(zip(names, found, strict=True))), "page.zip", "application/zip")


def _view(text: str) -> View:
    try:
        return View.model_validate(_json("view", text))
    except ValidationError as error:
        raise RequestValidationError([{**each, "loc": ("view", *each["loc"])} for each in error.errors()]) from None


def _query(request: Request) -> Query:
    given = request.query_params
    for name in given:
        if name not in _PARAMETERS:
            raise QueryError(unknown("parameter", name, _PARAMETERS))
    data: dict[str, Any] = {name: given[name] for name in given if name != "where"}
    if "where" in given:
        data["where"] = _json("where", given["where"])
    return Query.from_json({"measures": ["runs"], **data})


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise QueryError(f"{name} is not JSON.") from None


def _attached(file: str) -> dict[str, str]:
    return HEADERS | {"content-disposition": f'attachment; filename="{file}"'}
