"""The inference service: it serves what was trained. The only service that loads torch."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import Depends, FastAPI

from services.http.auth import require_key
from services.http.errors import RESPONSES
from services.http.health import health_router
from services.http.layers import add_layers
from services.inference.export_router import router as export_router
from services.inference.oip import router as oip
from services.inference.oip.infer import Protocol
from services.inference.oip.views import ERRORS
from services.inference.registry import Registry
from services.inference.router import router
from shared.config import get_settings
from shared.nn.kernels.ready import warm_up
from shared.scopes import Scope


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    threading.Thread(target=warm_up, name="compile", daemon=True).start()
    yield


def create_app() -> FastAPI:
    app = FastAPI(
        title="unroll inference",
        summary="Serves trained recurrent networks.",
        version=version("unroll"),
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
    )
    registry = Registry(get_settings().model_cache_bytes)
    app.state.registry = registry
    app.state.protocol = Protocol(registry)
    app.include_router(router, dependencies=[Depends(require_key)], responses=RESPONSES)
    app.include_router(export_router, dependencies=[Depends(require_key)], responses=RESPONSES)
    app.include_router(oip.router, dependencies=[Depends(require_key)], responses=ERRORS)
    app.include_router(oip.health)
    app.include_router(health_router({"registry": registry.check}))
    add_layers(app, "inference", lambda method, path: Scope.INFER)
    return app
