"""What clients are told when something is wrong: one envelope, one table of statuses."""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from pydantic_core import ErrorDetails
from redis import RedisError
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.routing import Match

from shared.jobs import errors
from shared.jobs.errors import shortened
from shared.jobs.wording import path_of, said
from shared.logging import get_logger

log = get_logger(__name__)
RETRY_AFTER_S = 2
STATUS: dict[type[errors.Fact], int] = {
    errors.Malformed: 400,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.TooLarge: 413,
    errors.InvalidSpec: 422,
    errors.TooManyQueued: 429,
    errors.CorruptBlob: 503,
    errors.Busy: 503,
}
CODES = {
    400: "malformed",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_encoding",
    429: "too_many_requests",
    503: "unavailable",
}
AWAY = (OperationalError, InterfaceError, PoolTimeout, RedisError)


class ErrorBody(BaseModel):
    """Why a request was refused, in one sentence a person can act on."""

    code: str
    message: str
    param: str | None = None
    """JSON path of the field at fault."""
    request_id: str | None = None
    details: list[dict[str, Any]] = []
    """All faults, each with its own `message` and what locates it."""


class ErrorView(BaseModel):
    error: ErrorBody


class PlainErrorView(BaseModel):
    """An error under `/v2`, as the Open Inference Protocol wants it."""

    error: str


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorView, "description": text}
    for status, text in {
        400: "Malformed request",
        401: "No key, or one that is unknown, revoked or expired",
        403: "The key lacks the scope that is needed",
        413: "Request too large",
        415: "A Content-Encoding that cannot be read",
        422: "Invalid field; `param` names it",
        429: "Too many requests; see Retry-After",
        503: "A server behind this one is away; see Retry-After",
    }.items()
}
NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": ErrorView, "description": "Unknown"}}
CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {"model": ErrorView, "description": "Does not fit the present state"}
}
GONE: dict[int | str, dict[str, Any]] = {410: {"model": ErrorView, "description": "Expired"}}
TOO_MANY: dict[int | str, dict[str, Any]] = {
    429: {"model": ErrorView, "description": "As much as is allowed already; see Retry-After"}
}
STREAM_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": response["description"],
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorView"}}},
    }
    for status, response in {**RESPONSES, **NOT_FOUND}.items()
}
"""For an endpoint that answers in another media type: its errors are JSON all the same."""


PLAIN = "/v2"
"""Where an error is one string: the paths of the Open Inference Protocol."""
_is_plain: ContextVar[bool] = ContextVar("is_plain", default=False)


def answer_at(path: str) -> None:
    """From here on, this task and the threads that it starts answer a request for `path`."""
    _is_plain.set(path == PLAIN or path.startswith(f"{PLAIN}/"))


def refusal(
    status: int,
    code: str,
    message: str,
    *,
    param: str | None = None,
    details: Sequence[dict[str, Any]] = (),
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """The envelope of every error; under `/v2`, the message alone."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    error: Any = {"code": code, "message": message, "param": param, "request_id": request_id}
    if details:
        error["details"] = list(details)
    if _is_plain.get():
        error = message
    extra = {"Retry-After": str(RETRY_AFTER_S)} if status in (429, 503) else {}
    if status == 409:
        extra["x-should-retry"] = "false"
    return JSONResponse({"error": error}, status, headers={**extra, **(headers or {})})


def add_error_handlers(app: FastAPI) -> None:
    app.add_exception_handler(errors.Fact, _fact)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(DataError, _data)
    for away in AWAY:
        app.add_exception_handler(away, _away)


async def _fact(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.Fact)
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    return refusal(status, error.code, error.message, param=error.param, details=error.details)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = CODES.get(error.status_code, "error")
    message = str(error.detail)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(methods_at(request))
    if message in BARE:
        path = shortened(request.url.path)
        message = BARE[message].format(method=request.method, path=path)
    return refusal(error.status_code, code, message, headers=headers)


def methods_at(request: Request) -> list[str]:
    """All methods that the path takes; the framework names those of its first route alone."""
    return [
        method
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]


BARE = {
    "Not Found": "There is nothing at {path}. See /openapi.json for what there is.",
    "Method Not Allowed": "{method} does not apply to {path}; the header Allow has what does.",
    "There was an error parsing the body": (
        "The body is not JSON that can be read: not UTF-8, nested too deeply, or a number too long."
    ),
}
"""What the framework says, and what a person can act on."""


async def _validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = error.errors()
    for fault in faults:
        if fault["type"] == "json_invalid":
            place = f"at character {fault['loc'][-1]}"
            message = f"The body is not JSON: {fault['ctx']['error']} ({place})."
            return refusal(400, "malformed", message)
    if isinstance(error.body, bytes):
        return refusal(400, "malformed", "Send the body with 'Content-Type: application/json'.")
    return validation_refusal(faults, error.body)


def validation_refusal(faults: Sequence[ErrorDetails], body: Any) -> JSONResponse:
    """422 with every fault of a validated body, path by path."""
    details = [
        {"param": ".".join(map(str, path_of(fault["loc"], body))) or None, "message": said(fault)}
        for fault in faults[:MAX_FAULTS]
    ]
    first = details[0]
    message = f"{first['param'] or 'The body'}: {first['message']}"
    return refusal(422, "invalid_spec", message, param=first["param"], details=details)


MAX_FAULTS = 100  # a person mends the pattern, not the two thousandth field


async def _data(request: Request, error: Exception) -> JSONResponse:
    log.info("refused what cannot be stored", error=str(error).splitlines()[0])
    message = "The request holds a character or number that cannot be stored (NUL, for example)."
    return refusal(400, "malformed", message)


async def _away(request: Request, error: Exception) -> JSONResponse:
    return away(error)


def away(error: Exception) -> JSONResponse:
    """The answer while a server behind this one does not answer."""
    log.warning("a server behind this one is away", error=str(error).splitlines()[0])
    return refusal(503, "unavailable", "A server behind this one is away; try again shortly.")


def unexpected(error: Exception) -> JSONResponse:
    """The answer to a fault of ours, which the log has in full."""
    log.error("unexpected error", exc_info=error)
    return refusal(500, "unexpected", "This is our fault; the log has it under the request id.")
