"""What a request may be asked by: the filters of every list and file of runs, and no other name."""

import json
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi import Query as Parameter

from agent_analytics.errors import QueryError, unknown
from agent_analytics.query import Query
from agent_analytics.serving.api.bearer import Asking

_First = Annotated[str | None, Parameter(alias="from", description="The first local day, as `2026-03-01`.")]
_End = Annotated[str | None, Parameter(alias="to", description="The last local day, included.")]
_Last = Annotated[
    str | None, Parameter(description="Today and the days before it, as `30d`, which is what counts without any.")
]
_Where = Annotated[
    str | None, Parameter(description='Only these values, as JSON: `{"team": ["Search", null]}`; null is *none*.')
]


def only_known(request: Request, asking: Asking) -> None:
    """Raises QueryError for a parameter that the route does not have: it would be wrong to seem to heed it."""
    known = request.app.state.parameters[request.scope["endpoint"].__name__]
    for name in request.query_params:
        if name not in known:
            raise QueryError(unknown("parameter", name, known))


def filters(first: _First = None, end: _End = None, last: _Last = None, where: _Where = None) -> Query:
    """The question how many runs there are, of these days and these values. Raises QueryError."""
    given = {"from": first, "to": end, "last": last, "where": None if where is None else from_json("where", where)}
    return Query.from_json(
        {"measures": ["runs"], **{name: value for name, value in given.items() if value is not None}}
    )


def from_json(name: str, text: str) -> Any:
    """What a parameter holds; raises QueryError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise QueryError(f"{name} is not JSON.") from None


Known = Depends(only_known)
Filtered = Annotated[Query, Depends(filters)]
