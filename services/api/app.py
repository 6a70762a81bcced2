"""The API: it accepts jobs and datasets and reports on them. It never loads torch."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import Depends, FastAPI

from services.api.gauges import register_once
from services.api.routers import (
    cells,
    checkpoints,
    datasets,
    experiments,
    jobs,
    keys,
    models,
    progress,
    workers,
)
from services.dashboard.docs import docs_router
from services.dashboard.router import router as dashboard_router
from services.dashboard.router import static_files
from services.http.auth import require_key
from services.http.errors import RESPONSES
from services.http.health import health_router
from services.http.layers import add_layers
from shared.config import get_settings
from shared.scopes import Scope
from shared.sweeper import Sweeper

ROUTERS = [
    module.router
    for module in (cells, datasets, jobs, progress, checkpoints, experiments, models, workers, keys)
]
LIMITS = {
    "/v1/datasets": "max_upload_bytes",
    "/ui/datasets": "max_upload_bytes",
    "/v1/jobs": "max_spec_bytes",
    "/ui/jobs": "max_spec_bytes",
    "/ui/preview": "max_spec_bytes",
    "/ui/experiments": "max_spec_bytes",
    "/v1/experiments": "max_spec_bytes",
}
LOOKS = frozenset({"GET", "HEAD", "OPTIONS"})


def scope_of(method: str, path: str) -> Scope:
    """What a key needs: administration for keys, else by whether the method changes anything."""
    if path.startswith(keys.PATH):
        return Scope.ADMIN
    return Scope.READ if method in LOOKS else Scope.SUBMIT


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    sweeper = Sweeper(get_settings().sweep_every_s)
    sweeper.start()
    yield
    sweeper.stop()


def create_app() -> FastAPI:
    app = FastAPI(
        title="unroll",
        summary="A training service for recurrent sequence models with a job queue.",
        version=version("unroll"),
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
    )
    for router in ROUTERS:
        app.include_router(router, dependencies=[Depends(require_key)], responses=RESPONSES)
    app.include_router(health_router())
    app.include_router(docs_router)
    app.include_router(dashboard_router)
    app.mount("/static", static_files, name="static")
    add_layers(app, "api", scope_of, LIMITS)
    register_once()
    return app
