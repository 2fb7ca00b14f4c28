"""Errors as RFC 9457 problem details; nothing of the inside is told, a correlation id is.

Each request has a `reference`: it stands in its problem, in its line in the log and in the audit.
"""

import logging
import secrets
from contextvars import ContextVar
from http import HTTPStatus
from typing import Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import Scope

from agent_analytics.errors import AgentAnalyticsError, Forbidden, NotFound, RecordUnavailable, ServiceError, UsageError

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
_STATUS: dict[type[AgentAnalyticsError], HTTPStatus] = {
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    UsageError: HTTPStatus.UNPROCESSABLE_ENTITY,
    RecordUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    ServiceError: HTTPStatus.SERVICE_UNAVAILABLE,
}
_reference: ContextVar[str] = ContextVar("reference", default="")


class Problem(BaseModel):
    """What went wrong, as RFC 9457 has it; `reference` stands in our log too."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
    reference: str


def begin() -> None:
    """From here on, what is done is this request's."""
    _reference.set(secrets.token_hex(8))


def reference() -> str:
    """The request's correlation id."""
    return _reference.get()


def install(app: FastAPI) -> None:
    app.add_exception_handler(AgentAnalyticsError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    log.info("Answered with status %s, reference %s", int(status), reference())
    body = Problem(
        type="about:blank", title=HTTPStatus(status).phrase, status=status, detail=detail, reference=reference()
    )
    headers = {"cache-control": "no-store", **(headers or {})}
    return JSONResponse(body.model_dump(), status, headers, media_type=MEDIA_TYPE)


def _ours(request: Request, error: Exception) -> JSONResponse:
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        log.warning("%s: %s, reference %s", _what(request.scope), error, reference())
        return problem(status, "The data cannot be reached at the moment. Try again.", {"retry-after": "5"})
    return problem(status, str(error))


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it alone
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return problem(422, f"{where}: {first['msg']}.")


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    return problem(error.status_code, str(error.detail), dict(error.headers or {}))


def unexpected(scope: Scope, error: Exception) -> JSONResponse:
    log.error("%s failed, reference %s", _what(scope), reference(), exc_info=error)
    return problem(500, "Something went wrong. The reference stands in the log.")


def _what(scope: Scope) -> str:
    """The route, not the address: that may hold the name of a run, or a line feed."""
    return f"{scope['method']} {getattr(scope.get('route'), 'path', 'an unknown address')}"
