"""What waits for one key runs together, nothing waits for company, and too much is refused."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from threading import Event
from typing import Any

import pytest

from services.inference.batcher import Batcher
from shared.jobs.errors import Busy

Batches = list[tuple[str, list[int]]]


class Work:
    """Doubles numbers, each batch when it is let go."""

    def __init__(self) -> None:
        self.batches: Batches = []
        self.gate = Event()
        self.gate.set()

    def __call__(self, key: str, items: Sequence[int]) -> list[int]:
        self.batches.append((key, list(items)))
        assert self.gate.wait(60)
        if -1 in items:
            raise ValueError("minus one")
        return [2 * item for item in items]


def run(
    scenario: Callable[[Batcher[str, int, int], Work], Awaitable[Any]], **limits: int
) -> Batches:
    work = Work()

    async def main() -> None:
        limit = {"max_waiting": 100, "max_cost": 100, **limits}
        batcher: Batcher[str, int, int] = Batcher(work, **limit)
        await asyncio.wait_for(scenario(batcher, work), 120)
        assert batcher.num_waiting == 0
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    return work.batches


async def started(work: Work, num_batches: int) -> None:
    while len(work.batches) < num_batches:
        await asyncio.sleep(0.001)


def test_what_comes_while_a_batch_runs_is_the_next_one() -> None:
    async def scenario(batcher: Batcher[str, int, int], work: Work) -> None:
        work.gate.clear()
        first = asyncio.create_task(batcher.submit("a", 1))
        await started(work, 1)
        others = [asyncio.create_task(batcher.submit("a", n)) for n in (2, 3, 4)]
        await asyncio.sleep(0)
        work.gate.set()
        assert await asyncio.gather(first, *others) == [2, 4, 6, 8]

    assert run(scenario) == [("a", [1]), ("a", [2, 3, 4])]


def test_of_one_key_so_many_batches_run_at_once_as_may() -> None:
    async def scenario(batcher: Batcher[str, int, int], work: Work) -> None:
        work.gate.clear()
        tasks = [asyncio.create_task(batcher.submit("a", 1))]
        await started(work, 1)
        tasks.append(asyncio.create_task(batcher.submit("a", 2)))
        await started(work, 2)
        tasks += [asyncio.create_task(batcher.submit("a", n)) for n in (3, 4)]
        await asyncio.sleep(0)
        work.gate.set()
        assert await asyncio.gather(*tasks) == [2, 4, 6, 8]
        assert await batcher.submit("a", 5) == 10

    batches = run(scenario, at_once=2)
    assert batches == [("a", [1]), ("a", [2]), ("a", [3, 4]), ("a", [5])]


def test_another_key_does_not_wait_and_a_batch_costs_no_more_than_it_may() -> None:
    async def scenario(batcher: Batcher[str, int, int], work: Work) -> None:
        work.gate.clear()
        tasks = [asyncio.create_task(batcher.submit("a", n)) for n in range(5)]
        tasks.append(asyncio.create_task(batcher.submit("b", 9)))
        await started(work, 2)
        work.gate.set()
        assert await asyncio.gather(*tasks) == [0, 2, 4, 6, 8, 18]

    batches = run(scenario, max_cost=2)
    assert [items for key, items in batches if key == "a"] == [[0, 1], [2, 3], [4]]
    assert ("b", [9]) in batches[:2]


def test_what_nobody_waits_for_is_not_done() -> None:
    async def scenario(batcher: Batcher[str, int, int], work: Work) -> None:
        work.gate.clear()
        first = asyncio.create_task(batcher.submit("a", 1))
        await started(work, 1)
        left, stays = (asyncio.create_task(batcher.submit("a", n)) for n in (2, 3))
        await asyncio.sleep(0)
        left.cancel()
        work.gate.set()
        assert await asyncio.gather(first, stays) == [2, 6]

    assert run(scenario) == [("a", [1]), ("a", [3])]


def test_more_than_may_wait_are_refused() -> None:
    async def scenario(batcher: Batcher[str, int, int], work: Work) -> None:
        tasks = [asyncio.create_task(batcher.submit("a", n)) for n in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="3 requests wait"):
            await batcher.submit("b", 4)
        await asyncio.gather(*tasks)
        assert await batcher.submit("b", 4) == 8

    run(scenario, max_waiting=3)


def test_a_fault_is_told_to_all_of_its_batch_and_the_next_one_runs() -> None:
    async def scenario(batcher: Batcher[str, int, int], work: Work) -> None:
        found = await asyncio.gather(
            batcher.submit("a", 1), batcher.submit("a", -1), return_exceptions=True
        )
        assert [type(each) for each in found] == [ValueError, ValueError]
        assert await batcher.submit("a", 5) == 10

    run(scenario)
