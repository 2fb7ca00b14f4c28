"""What the API says of itself: the shapes of its answers, its problems, and the OpenAPI document.

The shapes describe; nothing is passed through them, so that they cost no answer any time.
"""

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field, create_model

from agent_analytics import listing
from agent_analytics.serving.api import problems
from agent_analytics.serving.api.problems import Problem
from agent_analytics.tables import local_runs

DESCRIPTION = (
    "Every answer is within the bearer's own rights. What is not theirs is answered as if it were not there. "
    "Errors are RFC 9457 problem details with a `reference`, which also stands in the log."
)
_PROBLEMS = {
    401: "No token, or one that is not valid for now.",
    403: "The role may not do this.",
    413: "The body is larger than what is taken.",
    414: "The address is longer than what is taken.",
    422: "The question is not one that can be answered.",
    500: "A failure of ours.",
    503: "The data cannot be reached, the audit cannot be written, or too much is asked at once: try again.",
}
_MISSING = {404: "There is nothing of this name, or it is not the bearer's to see."}


class Shape(BaseModel):
    """Says exactly which fields there are."""

    model_config = ConfigDict(extra="forbid")


class Column(Shape):
    name: str
    kind: str = Field(description="`name`, `day`, `hour`, `integer`, `money` (USD) or `float`.")


class Answer(Shape):
    """One query's figures: the dimensions' values, then the measures'; null is unknown, or *none* of a dimension."""

    query: dict[str, Any]
    columns: list[Column]
    rows: list[list[Any]]
    from_: date = Field(alias="from")
    to: date
    timezone: str
    reason: str = Field(description="Why the bearer sees this.")
    as_of: datetime
    engine: str
    other: list[Any] | None
    others: int
    until: datetime | None
    notice: str | None


class Answers(Shape):
    answers: list[Answer]


class Manifest(Shape):
    """What a file of runs holds."""

    file: str
    rows: int
    columns: list[str]
    filters: dict[str, list[str | None]]
    from_: date = Field(alias="from")
    to: date
    until: datetime | None
    timezone: str
    reason: str
    as_of: datetime
    notice: str | None
    version: str
    totals: dict[str, float | None]


class Ranked(BaseModel):
    """A place in a team; both numbers are null where telling them would tell of somebody."""

    team: str
    place: int | None
    people: int | None
    text: str


class Freshness(Shape):
    as_of: datetime
    engine: str


class Event(Shape):
    """One line of the audit."""

    at: datetime
    organization: str | None
    action: str
    actor: str | None
    role: str | None
    via: str
    object: str | None
    details: dict[str, Any]
    reference: str | None


class Events(Shape):
    events: list[Event]
    next: str | None = Field(description="The cursor of the events that follow, null at the end.")


_TYPES: dict[type, Any] = {
    sa.Text: str,
    sa.DateTime: datetime,
    sa.Date: date,
    sa.Numeric: float,
    sa.Integer: int,
    sa.JSON: dict[str, Any],
}


def _run(name: str, columns: tuple[str, ...]) -> type[Shape]:
    """A run of these columns, with its duration in seconds."""
    fields: dict[str, Any] = {}
    for column in (local_runs.c[each] for each in columns if each != "duration_us"):
        kind = next(kind for known, kind in _TYPES.items() if isinstance(column.type, known))
        fields[column.name] = (kind | None if column.nullable else kind, ...)
    return create_model(name, __base__=Shape, **fields, duration=(float | None, ...))


WholeRun, ShortRun = _run("Run", listing.WHOLE), _run("ShortRun", listing.SHORT)


class OneRun(Shape):
    """All that is known of a run."""

    run: WholeRun  # type: ignore[valid-type]
    reason: str


class Runs(Shape):
    """Some of the runs of these days, in the order asked for."""

    runs: list[ShortRun]  # type: ignore[valid-type]
    next: str | None = Field(description="The cursor of the runs that follow, null at the end.")
    from_: date = Field(alias="from")
    to: date
    timezone: str
    reason: str
    as_of: datetime
    notice: str | None


def returns(*media_types: str, model: type[BaseModel] | None = None, missing: bool = False) -> dict[str, Any]:
    """A route's answer and problems, as its decorator takes them."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    good: dict[str, Any] = {"description": "As asked for."} | ({"model": model} if model else {})
    good["content"] = dict.fromkeys(media_types, binary)
    told = _PROBLEMS | (_MISSING if missing else {})
    return {"response_class": Response, "responses": {200: good} | {status: _problem(told[status]) for status in told}}


def fails(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Problems alone, for a route of another kind."""
    return {status: _problem(_PROBLEMS[status]) for status in statuses}


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {problems.MEDIA_TYPE: {"schema": schema}}}


def of(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document."""
    told = get_openapi(title=app.title, version="1", description=DESCRIPTION, routes=app.routes)
    told["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    return told


def parameters(document: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """The names in the query of an address, by operation: the name of the function that answers."""
    return {
        told["operationId"]: tuple(each["name"] for each in told.get("parameters", ()) if each["in"] == "query")
        for methods in document["paths"].values()
        for told in methods.values()
    }
