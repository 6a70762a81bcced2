"""What happens to every request before and after its endpoint: id, size, headers, counts."""

import secrets
import time
from collections.abc import Mapping

import structlog
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.http.auth import KEY_WANTED, is_admitted
from services.http.errors import refusal, unexpected
from shared.config import get_settings
from shared.logging import get_logger

log = get_logger(__name__)
REQUESTS = Counter(
    "unroll_http_requests_total", "Requests answered", ["service", "method", "route", "status"]
)
LATENCY = Histogram(
    "unroll_http_request_seconds", "Time to the end of the answer", ["service", "route"]
)
GUARDED = "/v1/"
QUIET = ("/healthz", "/readyz", "/metrics", "/static", "/ui")
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "content-security-policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
        "form-action 'self'"
    ),
}


class RequestMiddleware:
    """Plain ASGI, so that streams pass through untouched."""

    def __init__(self, app: ASGIApp, service: str, limits: Mapping[str, str] | None = None) -> None:
        """`limits` names the setting that bounds the body at a path; elsewhere, max_body_bytes."""
        self.app = app
        self.service = service
        self.limits = limits or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = f"req_{secrets.token_hex(8)}"
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started, status, has_answered = time.perf_counter(), 500, False

        async def send_with_headers(message: Message) -> None:
            nonlocal status, has_answered
            if message["type"] == "http.response.start":
                status, has_answered = message["status"], True
                add_headers(MutableHeaders(scope=message), request_id)
            await send(message)

        try:
            await self._guarded(scope, receive, send_with_headers)
        except Exception as error:
            if not has_answered:
                await unexpected(error)(scope, receive, send_with_headers)
            raise
        finally:
            self._record(scope, status, time.perf_counter() - started)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse strangers before a byte of their body is read."""
        authorization = Headers(scope=scope).get("authorization")
        if scope["path"].startswith(GUARDED) and not is_admitted(authorization, get_settings()):
            headers = {"WWW-Authenticate": "Bearer"}
            await refusal(401, "unauthorized", KEY_WANTED, headers=headers)(scope, receive, send)
            return
        await self._limited(scope, receive, send)

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        limit = self._limit(scope["path"])
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isascii() and declared.isdigit() and int(declared) > limit:
            await refusal(413, "too_large", too_large(limit))(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413, too_large(limit))
            return message

        await self.app(scope, counted, send)

    def _limit(self, path: str) -> int:
        limit: int = getattr(get_settings(), self.limits.get(path, "max_body_bytes"))
        return limit

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        method = scope["method"] if route != "unknown" else "unknown"
        REQUESTS.labels(self.service, method, route, status).inc()
        LATENCY.labels(self.service, route).observe(seconds)
        if not scope["path"].startswith(QUIET):
            log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                ms=round(1000 * seconds, 1),
                job_id=scope.get("path_params", {}).get("job_id"),
            )


def too_large(limit: int) -> str:
    return f"The body is larger than the {limit} bytes that are allowed here."


def add_headers(headers: MutableHeaders, request_id: str) -> None:
    headers["x-request-id"] = request_id
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
