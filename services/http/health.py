"""Whether a service is alive, ready, and what it has counted."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, disable_created_metrics, generate_latest
from sqlalchemy import text

from services.http.errors import RETRY_AFTER_S
from shared.db.engine import get_engine
from shared.db.migrate import is_current
from shared.queue import get_redis

# a second family for every counter, which nobody asks for
disable_created_metrics()  # type: ignore[no-untyped-call]
Check = Callable[[], Any]


def _database() -> None:
    with get_engine().connect() as connection:
        connection.execute(text("SELECT 1"))


def _broker() -> None:
    get_redis().ping()


def _migrations() -> None:
    if not is_current():
        raise RuntimeError("the database is not at the newest schema: run `unroll migrate`")


CHECKS: dict[str, Check] = {
    "database": _database,
    "broker": _broker,
    "migrations": _migrations,
}


def health_router(extra: dict[str, Check] | None = None) -> APIRouter:
    router = APIRouter(tags=["health"])
    checks = {**CHECKS, **(extra or {})}

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @router.get("/readyz", responses={503: {"description": "A check failed"}})
    def readyz() -> JSONResponse:
        """Database, broker and migrations are there."""
        results = results_of(checks)
        ready = all(result == "ok" for result in results.values())
        body = {"status": "ok" if ready else "unavailable", "checks": results}
        if ready:
            return JSONResponse(body)
        return JSONResponse(body, 503, headers={"Retry-After": str(RETRY_AFTER_S)})

    @router.get("/metrics", response_class=Response)
    def metrics() -> Response:
        """Prometheus text."""
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return router


def results_of(checks: dict[str, Check]) -> dict[str, str]:
    """Of each check "ok", or what is wrong in one line."""
    return {name: _result_of(check) for name, check in checks.items()}


def _result_of(check: Check) -> str:
    try:
        check()
    except Exception as error:
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return "ok"
