"""What happens to every request before and after all else: id, headers, counts."""

import secrets
import time

import structlog
from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.http.errors import answer_at, unexpected
from shared.logging import get_logger

log = get_logger(__name__)
REQUESTS = Counter(
    "unroll_http_requests_total", "Requests answered", ["service", "method", "route", "status"]
)
LATENCY = Histogram(
    "unroll_http_request_seconds", "Time to the end of the answer", ["service", "route"]
)
QUIET = ("/healthz", "/readyz", "/metrics", "/v2/health", "/static", "/ui")
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
        b"form-action 'self'",
    ),
]


class RequestMiddleware:
    """Plain ASGI, so that streams pass through untouched."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        self.app = app
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = f"req_{secrets.token_hex(8)}"
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        answer_at(scope["path"])
        started, status, has_answered = time.perf_counter(), 500, False

        async def send_with_headers(message: Message) -> None:
            nonlocal status, has_answered
            if message["type"] == "http.response.start":
                status, has_answered = message["status"], True
                add_headers(message, request_id)
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception as error:
            if not has_answered:
                await unexpected(error)(scope, receive, send_with_headers)
            raise
        finally:
            self._record(scope, status, time.perf_counter() - started)

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


def add_headers(message: Message, request_id: str) -> None:
    """Those that an answer has not set itself, and the id."""
    headers = list(message.get("headers", ()))
    own = {name for name, _ in headers}
    headers += [header for header in HEADERS if header[0] not in own]
    message["headers"] = [*headers, (b"x-request-id", request_id.encode())]
