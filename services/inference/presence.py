"""How long work is worth doing: until its caller leaves or its time is up. Knows no work."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Annotated, Any, TypeVar

from anyio import CancelScope
from fastapi import Header, Request
from starlette.concurrency import run_in_threadpool

from shared.jobs.errors import DeadlineExceeded

Result = TypeVar("Result")
Timeout = Annotated[
    float | None,
    Header(
        alias="x-timeout-s",
        gt=0,
        le=3600,
        allow_inf_nan=False,
        description="Seconds after which the answer is of no use; 503 then, and the work is dropped",
    ),
]


class CallerLeft(Exception):
    """Nobody is there to be answered."""


async def answered(
    request: Request, work: Coroutine[Any, Any, Result], timeout_s: float | None = None
) -> Result:
    """The result of `work`, which is cancelled when the caller leaves or its time is up.

    The body must have been read.

    Raises:
        CallerLeft, DeadlineExceeded, and whatever `work` raises
    """
    task, leaving = asyncio.create_task(work), asyncio.create_task(_has_left(request))
    try:
        done, _ = await asyncio.wait(
            {task, leaving}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        if task in done:
            return task.result()
        if leaving in done:
            raise CallerLeft
        raise DeadlineExceeded(timeout_s or 0)
    finally:
        for each in (task, leaving):
            each.cancel()
        with suppress(asyncio.CancelledError):
            await leaving
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # seen by nobody else where the caller has left


async def to_the_end(work: Callable[..., Result], *arguments: Any) -> Result:
    """In a thread, which is waited for also when its result is of no use any more."""
    task = asyncio.create_task(run_in_threadpool(work, *arguments))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with CancelScope(shield=True):  # a scope would cancel this wait again and again
            await asyncio.wait({task})
        raise


async def _has_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
