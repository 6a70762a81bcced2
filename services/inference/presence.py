"""How long work is worth doing: until its caller leaves or its time is up. Knows no work."""

import asyncio
from collections.abc import Callable, Coroutine
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
WATCHED_AFTER_S = 0.01  # what takes less time is done before its caller could be missed


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
    watch = _Watch(request)
    try:
        async with asyncio.timeout(timeout_s) as deadline:
            return await work
    except TimeoutError as error:
        if deadline.expired():
            raise DeadlineExceeded(timeout_s or 0) from error
        raise
    except asyncio.CancelledError:
        if watch.has_cancelled:
            watch.task.uncancel()
            raise CallerLeft from None
        raise
    finally:
        watch.end()


class _Watch:
    """Cancels the present task once its caller has left."""

    def __init__(self, request: Request) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self.task, self.has_cancelled = task, False
        self._request = request
        self._watching: asyncio.Task[None] | None = None
        self._timer = loop.call_later(WATCHED_AFTER_S, self._begin)

    def end(self) -> None:
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()

    def _begin(self) -> None:
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self.has_cancelled = True
        self.task.cancel()


async def to_the_end(work: Callable[..., Result], *arguments: Any) -> Result:
    """In a thread, which is waited for also when its result is of no use any more."""
    task = asyncio.create_task(run_in_threadpool(work, *arguments))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with CancelScope(shield=True):  # a scope would cancel this wait again and again
            await asyncio.wait({task})
        raise
