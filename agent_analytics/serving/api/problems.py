"""Errors as RFC 9457 problem details; nothing of the inside is told, a correlation id is."""

import logging
from http import HTTPStatus
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from agent_analytics.errors import AgentAnalyticsError, Forbidden, RecordUnavailable, ServiceError, UsageError

log = logging.getLogger(__name__)
_STATUS: dict[type[AgentAnalyticsError], HTTPStatus] = {
    Forbidden: HTTPStatus.FORBIDDEN,
    UsageError: HTTPStatus.UNPROCESSABLE_ENTITY,
    RecordUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    ServiceError: HTTPStatus.SERVICE_UNAVAILABLE,
}


def install(app: FastAPI) -> None:
    app.add_exception_handler(AgentAnalyticsError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    body = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def _ours(request: Request, error: Exception) -> JSONResponse:
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        log.warning("%s %s: %s", request.method, request.url.path, error)
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


def _unexpected(request: Request, error: Exception) -> JSONResponse:
    correlation = uuid4().hex
    log.error("%s %s failed, correlation id %s", request.method, request.url.path, correlation, exc_info=error)
    return problem(500, f"Something went wrong. Correlation id: {correlation}")
