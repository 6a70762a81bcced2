"""The inference service: it serves what was trained. The only service that loads torch."""

import gc
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import Depends, FastAPI
from fastapi.telemetry import TelemetryConfig

from services.http.auth import require_key
from services.http.direct import include_direct
from services.http.errors import RESPONSES
from services.http.health import health_router
from services.http.layers import add_layers
from services.inference.checking import Checker
from services.inference.export_router import router as exports
from services.inference.generation.router import Room
from services.inference.generation.router import router as generation
from services.inference.oip import router as oip
from services.inference.oip.infer import Protocol
from services.inference.oip.sequences import Sequences
from services.inference.oip.views import ERRORS
from services.inference.predicting import Predictions
from services.inference.registry import Registry
from services.inference.router import router
from services.inference.sessions.engine import Sessions
from services.inference.sessions.router import router as sessions
from services.inference.sessions.router import steps
from services.inference.sessions.store import SessionStore
from services.inference.traces import router as traces
from shared.config import get_settings
from shared.nn.kernels.ready import warm_up
from shared.scopes import Scope

NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
"""Of the framework, which looks for its receivers at each request; /metrics has counts and times."""


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    enough = threading.Event()
    threading.Thread(target=warm_up, args=(enough,), name="compile").start()
    gc.collect()
    gc.freeze()  # what is there now stays; a request's many lists must not have it looked through
    checker: Checker = app.state.checker
    checker.start()
    try:
        yield
    finally:
        enough.set()
        checker.stop()


def create_app() -> FastAPI:
    app = FastAPI(
        title="unroll inference",
        summary="Serves trained recurrent networks.",
        version=version("unroll"),
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        telemetry=NO_TELEMETRY,
    )
    registry = Registry(get_settings().model_cache_bytes)
    app.state.registry = registry
    app.state.checker = Checker(get_settings().sweep_every_s)
    app.state.sessions = Sessions(registry, SessionStore(), get_settings().max_waiting_requests)
    app.state.predictions = Predictions(get_settings().max_waiting_requests)
    app.state.room = Room(get_settings().max_waiting_requests)
    for each in (router, generation, traces, sessions, steps, exports):
        app.include_router(each, dependencies=[Depends(require_key)], responses=RESPONSES)
    sequences = Sequences(app.state.sessions)
    app.state.protocol = Protocol(registry, app.state.predictions, sequences)
    for each in (oip.router, oip.infers):
        app.include_router(each, dependencies=[Depends(require_key)], responses=ERRORS)
    app.include_router(oip.health)
    include_direct(app, router, steps, oip.infers)
    app.include_router(health_router({"registry": registry.check}))
    add_layers(app, "inference", lambda method, path: Scope.INFER)
    return app
