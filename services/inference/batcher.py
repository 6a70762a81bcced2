"""Groups requests that wait while a batch of their kind is worked on. Knows futures, not tensors."""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

from shared.jobs.errors import Busy

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")


class _Lane(Generic[Item, Result]):
    """What waits under one key, and how many batches of it are worked on."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self.num_running = 0


class Batcher(Generic[Key, Item, Result]):
    """Runs items of one key together, and batches of different keys side by side.

    Nothing waits for company: an item that comes alone is run at once, and those that come in the
    meantime are the next batch. So no item waits longer than for the batches before its own.
    """

    def __init__(
        self,
        work: Callable[[Key, Sequence[Item]], Sequence[Result]],
        *,
        max_waiting: int,
        max_cost: int,
        cost: Callable[[Item], int] = lambda item: 1,
        at_once: int = 1,
        executor: Executor | None = None,
    ) -> None:
        """`work` runs in `executor` and gives a result for each item; a batch costs `max_cost` at most,
        unless a single item costs more. Of one key, `at_once` batches at most are worked on."""
        self.work, self.cost, self.executor = work, cost, executor
        self.max_waiting, self.max_cost, self.at_once = max_waiting, max_cost, at_once
        self.num_waiting = 0
        self._lanes: dict[Key, _Lane[Item, Result]] = {}
        self._runners: set[asyncio.Task[None]] = set()

    async def submit(self, key: Key, item: Item) -> Result:
        """The item's result, or what `work` raised; cancelled before its turn, it is left out.

        Raises:
            Busy: as many wait as may.
        """
        if self.num_waiting >= self.max_waiting:
            raise Busy(f"{self.num_waiting} requests wait already; try again shortly.")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        lane = self._lanes.setdefault(key, _Lane())
        lane.waiting.append((item, future))
        if lane.num_running < self.at_once:
            lane.num_running += 1
            runner = asyncio.create_task(self._run(key, lane))
            self._runners.add(runner)
            runner.add_done_callback(self._runners.discard)
        self.num_waiting += 1
        try:
            return await future
        finally:
            self.num_waiting -= 1

    async def _run(self, key: Key, lane: _Lane[Item, Result]) -> None:
        loop = asyncio.get_running_loop()
        while batch := self._next(lane.waiting):
            items, futures = zip(*batch, strict=True)
            try:
                results = await loop.run_in_executor(self.executor, self.work, key, items)
            except Exception as error:
                for future in futures:
                    if not future.done():
                        future.set_exception(error)
            else:
                for future, result in zip(futures, results, strict=True):
                    if not future.done():
                        future.set_result(result)
        lane.num_running -= 1
        if not lane.num_running:
            del self._lanes[key]

    def _next(
        self, waiting: deque[tuple[Item, asyncio.Future[Result]]]
    ) -> list[tuple[Item, asyncio.Future[Result]]]:
        """The oldest items that are still wanted; empty when none is left."""
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        room = self.max_cost
        while waiting:
            item, future = waiting[0]
            if not future.done():
                room -= self.cost(item)
                if batch and room < 0:
                    break
                batch.append((item, future))
            waiting.popleft()
        return batch
