"""Files for download: the runs behind an answer, one answer, or a page's panels, within the bearer's scope."""

from collections.abc import Callable, Generator
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Annotated, Any

from anyio import CancelScope
from fastapi import APIRouter, Request, Response
from fastapi import Query as Parameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Send
from starlette.types import Scope as Connected

from agent_analytics import export
from agent_analytics.answer import Answer, encode
from agent_analytics.errors import QueryError
from agent_analytics.output import as_csv
from agent_analytics.query import Query
from agent_analytics.scope import Principal, scope_of
from agent_analytics.serving.api.bearer import Asking
from agent_analytics.serving.api.document import Manifest, returns
from agent_analytics.serving.api.parameters import Filtered, Known, from_json
from agent_analytics.serving.api.places import Places
from agent_analytics.serving.api.recording import exported
from agent_analytics.store import Record

MOST_PANELS = 50
LONGEST = 50_000
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"
ZIP = "application/zip"
HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
places = Places()
router = APIRouter(prefix="/v1/export", tags=["export"], dependencies=[Known])


class Panel(BaseModel):
    """What a panel is called, and what it shows, as `Query.to_json` writes it."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(max_length=200)]
    query: dict[str, Any]


EXAMPLE: Any = {"panels": [{"name": "Runs per day", "query": {"measures": ["runs"], "by": ["day"], "last": "30d"}}]}


class View(BaseModel):
    """A page as it is seen."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})
    panels: Annotated[list[Panel], Field(min_length=1, max_length=MOST_PANELS)]


class Stream(StreamingResponse):
    """Blocks as they are made. One that cannot be made breaks the connection, so that a cut file is noticed.

    The blocks are closed whatever happens, so that PostgreSQL stops when the reader has gone.
    """

    def __init__(self, blocks: Generator[bytes, None, None], file: str, media_type: str) -> None:
        first = next(blocks, b"")
        super().__init__(chain([first], blocks), headers=attached(file), media_type=media_type)
        self._blocks = blocks

    async def __call__(self, scope: Connected, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with CancelScope(shield=True):
                await run_in_threadpool(self._blocks.close)


@router.get("/runs.csv", summary="Runs as CSV", **returns(CSV))
def runs_csv(request: Request, asking: Asking, asked: Filtered) -> Response:
    """The runs, one a line under a header."""
    return _runs(request, asking, asked, "csv", CSV)


@router.get("/runs.parquet", summary="Runs as Parquet", **returns(PARQUET))
def runs_parquet(request: Request, asking: Asking, asked: Filtered) -> Response:
    """The runs, exact to the type."""
    return _runs(request, asking, asked, "parquet", PARQUET)


@router.get("/runs.manifest.json", summary="What a file of runs holds", **returns(model=Manifest))
def runs_manifest(request: Request, asking: Asking, asked: Filtered) -> Response:
    """What `runs.csv` of the same parameters held at the instant `as_of`."""
    scope = scope_of(asking)
    (found,) = request.app.state.engines.answers([export.totals(asked, scope)], scope, datetime.now(UTC))
    told = encode(export.manifest(export.name_of(found, scope, "csv"), found))
    file = export.name_of(found, scope, "manifest.json")
    exported(request, asking, scope, "export.manifest", [asked])
    return Response(told, media_type="application/json", headers=attached(file))


Linked = Annotated[str, Parameter(max_length=LONGEST, description="The body of the POST, as JSON.")]


@router.get("/page.zip", summary="A page, by a link", **returns(ZIP))
def page_of_link(request: Request, asking: Asking, view: Linked) -> Response:
    """As `page.zip` by POST, for a link: the view as JSON."""
    return _page(request, asking, _view(view))


@router.post("/page.zip", summary="A page", **returns(ZIP))
def page(request: Request, asking: Asking, view: View) -> Response:
    """One CSV for each panel, and `manifest.json`."""
    return _page(request, asking, view)


def writer(accept: str, queries: int) -> Callable[[Answer], Response] | None:
    """How to write the one answer if something else than JSON is accepted first. Raises QueryError for several."""
    kinds = [kind.split(";")[0].strip().lower() for kind in accept.split(",")]
    known = [kind for kind in kinds if kind in (*_WRITERS, "application/json")]
    write = _WRITERS.get(known[0]) if known else None
    if write is not None and queries != 1:
        raise QueryError(f"{known[0]} holds one answer; ask one query, or accept application/json.")
    return write


def _csv(found: Answer) -> Response:
    return Response(as_csv(found), media_type=CSV, headers=attached("answer.csv"))


def _arrow(found: Answer) -> Response:
    return Response(export.arrow_of(found), media_type=ARROW, headers=attached("answer.arrows"))


_WRITERS = {CSV: _csv, ARROW: _arrow}


def sent(request: Request, asking: Principal, found: Answer, write: Callable[[Answer], Response]) -> Response:
    """The one answer as `writer` said, once that stands in the audit."""
    exported(request, asking, scope_of(asking), "export.answer", [found.query])
    return write(found)


def _runs(request: Request, asking: Principal, asked: Query, kind: str, media_type: str) -> Response:
    """Which days these are, and whether each value is known, the quickest engine tells before the first byte."""
    scope, engines = scope_of(asking), request.app.state.engines
    (found,) = engines.answers([asked], scope, datetime.now(UTC))
    blocks = _copied(
        engines.record, found, asking, kind, partial(exported, request, asking, scope, "export.runs", [asked])
    )
    return Stream(blocks, export.name_of(found, scope, kind), media_type)


def _copied(
    record: Record, found: Answer, asking: Principal, kind: str, write_down: Callable[[], None]
) -> Generator[bytes, None, None]:
    scope = scope_of(asking)
    with places.take(asking), record.snapshot(scope.organization) as connection:
        write_down()
        yield from export.RUN_FORMATS[kind](found, scope, connection)


def _page(request: Request, asking: Principal, view: View) -> Response:
    scope = scope_of(asking)
    queries = [Query.from_json(panel.query) for panel in view.panels]
    found = request.app.state.engines.answers(queries, scope, datetime.now(UTC))
    exported(request, asking, scope, "export.page", queries)
    names = (panel.name for panel in view.panels)
    return Stream(export.page(list(zip(names, found, strict=True))), "page.zip", ZIP)


def _view(text: str) -> View:
    try:
        return View.model_validate(from_json("view", text))
    except ValidationError as error:
        raise RequestValidationError([{**each, "loc": ("view", *each["loc"])} for each in error.errors()]) from None


def attached(file: str) -> dict[str, str]:
    return HEADERS | {"content-disposition": f'attachment; filename="{file}"'}
