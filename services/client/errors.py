"""What a caller of the client may have to catch; knows statuses, not how requests are made."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any


class UnrollError(Exception):
    """Anything the client raises; its text is a sentence a person can act on."""


class ConfigError(UnrollError):
    """A flag, variable or key of `unroll.toml` has no usable value."""


class Unreachable(UnrollError):
    """No service answered at the URL."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"Cannot reach {url} ({reason}). Start a stack with `unroll up`, or name another "
            "service with --api-url and --inference-url."
        )
        self.url = url


class TimedOut(UnrollError):
    """What was waited for did not come in time."""


class UnexpectedAnswer(UnrollError):
    """Something answered, but it is not an unroll service."""


class ApiError(UnrollError):
    """The service refused a request: `code`, `message`, `param`, `details` as it sent them."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        details: Sequence[dict[str, Any]] = (),
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param
        self.details = list(details)
        self.request_id = request_id


class BadRequest(ApiError):
    """400: the request could not be read."""


class Unauthorized(ApiError):
    """401: no key, or an unknown one."""


class Forbidden(ApiError):
    """403: the key may not do this."""


class NotFound(ApiError):
    """404: nothing has this id or name."""


class Conflict(ApiError):
    """409: it does not fit the present state."""


class TooLarge(ApiError):
    """413: more bytes than the service takes."""


class Invalid(ApiError):
    """422: a spec, dataset or input with faults; `param` is the first one's JSON path."""


class TooManyRequests(ApiError):
    """429, after every retry."""


class Unavailable(ApiError):
    """503, after every retry."""


BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    422: Invalid,
    429: TooManyRequests,
    503: Unavailable,
}


def error_of(status: int, body: object) -> ApiError:
    """The error for an answer; `body` is its JSON, or its text where it is none."""
    kind = BY_STATUS.get(status, ApiError)
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return kind(status, f"http_{status}", f"{_phrase(status)}: {str(body)[:200]}")
    return kind(
        status,
        str(error.get("code", f"http_{status}")),
        str(error.get("message", _phrase(status))),
        param=error.get("param"),
        details=error.get("details") or (),
        request_id=error.get("request_id"),
    )


def _phrase(status: int) -> str:
    known = {int(item) for item in HTTPStatus}
    return f"{status} {HTTPStatus(status).phrase}" if status in known else str(status)
