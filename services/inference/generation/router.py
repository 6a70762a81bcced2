"""The endpoints that write one sequence, at once or while it is written."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict

from services.http.errors import CONFLICT, NOT_FOUND
from services.http.parsing import FastRoute
from services.inference.generation.writer import Event, Writer, writer_for
from services.inference.options import GenerateOptions
from services.inference.predictor import check_size, encode_at, forward_pass
from services.inference.presence import Timeout, to_the_end
from services.inference.registry import Loaded
from services.inference.serving import model_of, respond
from services.inference.writing import with_seed
from shared.db.models import LATEST
from shared.jobs.errors import Busy

BURST_S = (
    0.01  # events of so much work leave together: a hop between threads costs as much as a step
)
STREAMS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}
}
router = APIRouter(prefix="/v1/models/{name}", tags=["inference"], route_class=FastRoute)


class GenerateRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    input: Any
    """An input in the form in which the dataset has them."""
    options: GenerateOptions = GenerateOptions()
    stream: bool = False
    """Whether to answer with server-sent events, one a step."""


class GenerateView(BaseModel):
    """One written sequence."""

    model: str
    version: int
    output: dict[str, Any]


@router.post(
    "/generate", response_model=GenerateView, responses={**NOT_FOUND, **CONFLICT, **STREAMS}
)
async def generate(
    name: str, body: GenerateRequest, request: Request, timeout_s: Timeout = None
) -> Response:
    """Write with the newest version; with "stream": true, a `token` event a step, then `done`."""
    return await _answer(request, name, LATEST, body, timeout_s)


@router.post(
    "/versions/{version}/generate",
    response_model=GenerateView,
    responses={**NOT_FOUND, **CONFLICT, **STREAMS},
)
async def generate_with_version(
    name: str, version: str, body: GenerateRequest, request: Request, timeout_s: Timeout = None
) -> Response:
    """Write with one version, by number or `latest`."""
    return await _answer(request, name, version, body, timeout_s)


class Room:
    """So many sequences may be written at once."""

    def __init__(self, size: int) -> None:
        self.size, self.num_taken = size, 0

    def __enter__(self) -> None:
        if self.num_taken >= self.size:
            raise Busy(f"{self.num_taken} sequences are written already; try again shortly.")
        self.num_taken += 1

    def __exit__(self, *_: object) -> None:
        self.num_taken -= 1


async def _answer(
    request: Request, name: str, version: str, body: GenerateRequest, timeout_s: float | None
) -> Response:
    model = await model_of(request, name, version)
    x_T = encode_at(model, body.input, "input")
    check_size([x_T])
    options = with_seed(body.options)
    writer = writer_for(model, x_T, options)
    if not body.stream:
        return await respond(request, _whole(request, model, writer), timeout_s)
    room: Room = request.app.state.room
    with room:  # refuse while the status can still say so
        pass
    events = _events(request, model, writer, timeout_s)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _whole(request: Request, model: Loaded, writer: Writer) -> dict[str, Any]:
    async for _ in _bursts(request, writer):
        pass
    return _view(model, writer)


def _view(model: Loaded, writer: Writer) -> dict[str, Any]:
    return {"model": model.name, "version": model.version, "output": writer.result()}


async def _events(
    request: Request, model: Loaded, writer: Writer, timeout_s: float | None
) -> AsyncIterator[bytes]:
    try:
        async with asyncio.timeout(timeout_s):
            async for burst in _bursts(request, writer):
                yield b"".join(_event("token", event) for event in burst)
    except TimeoutError:
        message = f"The sequence was not finished within {timeout_s:g} s."
        yield _event("error", {"code": "deadline_exceeded", "message": message})
    except Busy as busy:  # the room was taken since it was looked for
        yield _event("error", {"code": busy.code, "message": str(busy)})
    else:
        yield _event("done", _view(model, writer))


async def _bursts(request: Request, writer: Writer) -> AsyncIterator[list[Event]]:
    """The events of a sequence as they come; cancelling ends the work with the burst under way."""
    room: Room = request.app.state.room
    with room, closing(writer.__iter__()) as steps:
        while burst := await to_the_end(_burst, steps):
            yield burst


def _burst(steps: Iterator[Event]) -> list[Event]:
    """The next events, at least one; none when there are no more."""
    burst: list[Event] = []
    until = time.monotonic() + BURST_S
    with forward_pass():
        for event in steps:
            burst.append(event)
            if time.monotonic() > until:
                break
    return burst


def _event(kind: str, data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(data))
