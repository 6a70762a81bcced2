"""Predictions of many requests at once: those that wait for one network and are of similar length run
together. Knows arrays and futures, no HTTP."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from threading import Event
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool

from services.inference.batcher import Batcher
from services.inference.options import Options
from services.inference.predictor import (
    CORES,
    Array,
    by_length,
    check_size,
    encode,
    run_all,
    written_answers,
)
from services.inference.registry import Loaded
from services.inference.writing import check_work, with_seed, writes
from shared.config import get_settings

Answer = dict[str, Any]
Result = TypeVar("Result")
SMALL_BYTES = 2**16  # of a body that is worked on at once; a larger one would keep others waiting
Lane = tuple[Loaded, int]
"""A network, and the number of bits of a length: no row is padded to more than twice its length."""


class Predictions:
    """What a process answers to those who want predictions, however many come at once."""

    def __init__(self, max_waiting: int) -> None:
        self.batches: Batcher[Lane, list[Array], list[Array]] = Batcher(
            self._run_batch,
            max_waiting=max_waiting,
            max_cost=get_settings().max_predict_elements,
            cost=lambda arrays: sum(array.size for array in arrays),
            at_once=CORES,
        )

    async def predict(
        self, model: Loaded, inputs: Sequence[object], options: Options, *, is_small: bool
    ) -> list[Answer]:
        """One answer an input, in their order. Small inputs are worked on here and now, without the
        detour by a thread.

        Raises:
            InvalidSpec, TooLarge: as `predictor.predict`
            Busy: as many requests wait as may.
        """
        if writes(model, options):
            return await self._written(model, inputs, with_seed(options))
        arrays = await here_or_aside(is_small, encoded, model, inputs)
        outputs = await self.outputs(model, arrays)
        return await here_or_aside(is_small, _described, model, outputs)

    async def outputs(self, model: Loaded, arrays: Sequence[Array]) -> list[Array]:
        """Activated outputs, one an array, as from `predictor.run`; raises Busy."""
        lanes: dict[int, list[int]] = defaultdict(list)
        for row, array in enumerate(arrays):
            lanes[len(array).bit_length()].append(row)
        waiting = [
            self.batches.submit((model, bits), [arrays[row] for row in rows])
            for bits, rows in lanes.items()
        ]
        found = zip(lanes.values(), await asyncio.gather(*waiting), strict=True)
        outputs = {
            row: output for rows, some in found for row, output in zip(rows, some, strict=True)
        }
        return [outputs[row] for row in range(len(arrays))]

    def _run_batch(self, lane: Lane, requests: Sequence[list[Array]]) -> list[list[Array]]:
        model, _ = lane
        is_alone = self.batches.num_waiting <= len(requests)
        arrays = [array for request in requests for array in request]
        outputs = iter(run_all(model, arrays, is_alone=is_alone))
        return [[next(outputs) for _ in request] for request in requests]

    async def _written(
        self, model: Loaded, inputs: Sequence[object], options: Options
    ) -> list[Answer]:
        unwanted = Event()
        try:
            return await run_in_threadpool(_write, model, inputs, options, unwanted)
        finally:
            unwanted.set()


async def here_or_aside(is_small: bool, work: Callable[..., Result], *arguments: Any) -> Result:
    """At once where it is small; else in a thread, since it would keep others waiting."""
    return work(*arguments) if is_small else await run_in_threadpool(work, *arguments)


def encoded(model: Loaded, inputs: Sequence[object]) -> list[Array]:
    """Raises InvalidSpec, TooLarge."""
    arrays = [encode(model, raw, index) for index, raw in enumerate(inputs)]
    check_size(arrays)
    return arrays


def _described(model: Loaded, outputs: Sequence[Array]) -> list[Answer]:
    return [model.encoding.describe(output) for output in outputs]


def _write(
    model: Loaded, inputs: Sequence[object], options: Options, unwanted: Event
) -> list[Answer]:
    arrays = encoded(model, inputs)
    check_work(model, options, len(arrays))
    answers: list[Answer] = [{}] * len(arrays)
    for rows in by_length(arrays, mixed=model.encoding.generates):
        if unwanted.is_set():
            break
        batch = [arrays[row] for row in rows]
        for row, answer in zip(rows, written_answers(model, batch, rows, options), strict=True):
            answers[row] = answer
    return answers
