"""Predictions of many requests at once: those that wait for one network and are of similar length run
together. Knows arrays and futures, no HTTP."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from threading import Event
from typing import Any

from starlette.concurrency import run_in_threadpool

from services.inference.batcher import Batcher
from services.inference.options import Options
from services.inference.predictor import (
    CORES,
    Array,
    by_length,
    check_size,
    encode,
    read,
    written_answers,
)
from services.inference.registry import Loaded
from services.inference.writing import check_work, with_seed, writes
from shared.config import get_settings

Answer = dict[str, Any]
Lane = tuple[Loaded, int]
"""A network, and the number of bits of a length: no row is padded to more than twice its length."""


class Predictions:
    """What a process answers to predict requests, however many come at once."""

    def __init__(self, max_waiting: int) -> None:
        self.batches: Batcher[Lane, list[Array], list[Answer]] = Batcher(
            _answer_batch,
            max_waiting=max_waiting,
            max_cost=get_settings().max_predict_elements,
            cost=lambda arrays: sum(array.size for array in arrays),
            at_once=CORES,
        )

    async def predict(
        self, model: Loaded, inputs: Sequence[object], options: Options, *, is_small: bool
    ) -> list[Answer]:
        """One answer an input, in their order. Small inputs are encoded here and now, without the
        detour by a thread.

        Raises:
            InvalidSpec, TooLarge: as `predictor.predict`
            Busy: as many requests wait as may.
        """
        if writes(model, options):
            return await self._written(model, inputs, with_seed(options))
        arrays = (
            _encoded(model, inputs)
            if is_small
            else await run_in_threadpool(_encoded, model, inputs)
        )
        lanes: dict[int, list[int]] = defaultdict(list)
        for row, array in enumerate(arrays):
            lanes[len(array).bit_length()].append(row)
        answers: list[Answer] = [{}] * len(arrays)
        groups = list(lanes.items())
        found = await asyncio.gather(
            *(
                self.batches.submit((model, bits), [arrays[row] for row in rows])
                for bits, rows in groups
            )
        )
        for (_, rows), some in zip(groups, found, strict=True):
            for row, answer in zip(rows, some, strict=True):
                answers[row] = answer
        return answers

    async def _written(
        self, model: Loaded, inputs: Sequence[object], options: Options
    ) -> list[Answer]:
        unwanted = Event()
        try:
            return await run_in_threadpool(_write, model, inputs, options, unwanted)
        finally:
            unwanted.set()


def _encoded(model: Loaded, inputs: Sequence[object]) -> list[Array]:
    arrays = [encode(model, raw, index) for index, raw in enumerate(inputs)]
    check_size(arrays)
    return arrays


def _answer_batch(lane: Lane, requests: Sequence[list[Array]]) -> list[list[Answer]]:
    model, _ = lane
    arrays = [array for request in requests for array in request]
    answers: list[Answer] = [{}] * len(arrays)
    for rows in by_length(arrays):
        for row, answer in zip(rows, read(model, [arrays[row] for row in rows]), strict=True):
            answers[row] = answer
    following = iter(answers)
    return [[next(following) for _ in request] for request in requests]


def _write(
    model: Loaded, inputs: Sequence[object], options: Options, unwanted: Event
) -> list[Answer]:
    arrays = _encoded(model, inputs)
    check_work(model, options, len(arrays))
    answers: list[Answer] = [{}] * len(arrays)
    for rows in by_length(arrays, mixed=model.encoding.generates):
        if unwanted.is_set():
            break
        batch = [arrays[row] for row in rows]
        for row, answer in zip(rows, written_answers(model, batch, rows, options), strict=True):
            answers[row] = answer
    return answers
