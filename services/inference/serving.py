"""What the inference endpoints share: the model of a request, encoded inputs, an answer in time."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from services.http.direct import CALLER_LEFT
from services.http.json import json_response
from services.inference.presence import CallerLeft, answered
from services.inference.registry import Loaded, Registry

Body = TypeVar("Body")


async def model_of(request: Request, name: str, version: str) -> Loaded:
    """The network that is meant now.

    Raises:
        ModelNotFound, CorruptBlob
    """
    registry: Registry = request.app.state.registry
    model = registry.peek(name, version)
    return model if model is not None else await run_in_threadpool(registry.get, name, version)


async def respond(
    request: Request, work: Coroutine[Any, Any, Any], timeout_s: float | None, status: int = 200
) -> Response:
    """What `work` makes, as JSON; nothing where the caller has left by then.

    Raises:
        DeadlineExceeded, and whatever `work` raises
    """
    return await unless_left(request, _as_json(work, status), timeout_s)


async def unless_left(
    request: Request, work: Coroutine[Any, Any, Response], timeout_s: float | None = None
) -> Response:
    """What `work` answers; raises as `respond` does."""
    try:
        return await answered(request, work, timeout_s)
    except CallerLeft:
        return Response(status_code=CALLER_LEFT)


async def _as_json(work: Coroutine[Any, Any, Any], status: int) -> Response:
    return json_response(await work, status)
