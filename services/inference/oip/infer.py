"""An infer request from its bytes to its answer, with what it took. Knows no route."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from fastapi import Response

from services.inference.measures import INPUTS, PREDICT_SECONDS
from services.inference.oip.giving import Tensors, chosen, computed, written
from services.inference.oip.message import JSON_LENGTH, Message, read, write
from services.inference.oip.reading import options_of, raw_inputs
from services.inference.oip.sequences import Sequences, Turn, check_rows, turn_of
from services.inference.oip.statistics import Key, Statistics
from services.inference.oip.tensors import Array
from services.inference.options import Options
from services.inference.predictor import by_length, check_size, encode, predict, run
from services.inference.registry import Loaded, Registry
from services.inference.writing import writes
from shared.jobs.errors import InvalidSpec

ONE_SEQUENCE = (
    "parameters.sequence_id: what a model writes is a sequence of its own, begun anew by each "
    "request; leave it out."
)


@dataclass(slots=True)
class Protocol:
    """What the endpoints share: networks, counts, and what keeps sequences."""

    registry: Registry
    sequences: Sequences
    statistics: Statistics = field(default_factory=Statistics)

    def infer(self, name: str, version: str, body: bytes, headers: Mapping[str, str]) -> Response:
        """The answer to an unpacked body; raises `Fact` or RequestValidationError."""
        model = self.registry.get(name, version)
        with PREDICT_SECONDS.time():
            return self._counted(model, body, headers)

    def _counted(self, model: Loaded, body: bytes, headers: Mapping[str, str]) -> Response:
        watch = Watch()
        try:
            answer, num_rows = self._answer(model, body, headers, watch)
        except Exception:
            self.statistics.failed(key_of(model), watch.elapsed_ns)
            raise
        INPUTS.observe(num_rows)
        self.statistics.succeeded(key_of(model), num_rows, watch.laps_ns, watch.now_ms)
        return answer

    def _answer(
        self, model: Loaded, body: bytes, headers: Mapping[str, str], watch: "Watch"
    ) -> tuple[Response, int]:
        message = read(body, headers.get(JSON_LENGTH))
        request = message.request
        options, turn = options_of(request.parameters), turn_of(request.parameters)
        if turn is not None:
            model = self.sequences.model_of(model, turn)
        raws = raw_inputs(model.encoding, message.tensors)
        work = _Work(model, raws, options, writes(model, options))
        if turn is not None:
            check_rows(len(raws))
            if work.writes:
                raise InvalidSpec(ONE_SEQUENCE, param="parameters.sequence_id")
        arrays = [] if work.writes else work.encoded()
        watch.lap()
        if turn is not None:
            found = computed(model.encoding, [self._advance(model, arrays[0], turn)])
        else:
            found = work.written() if work.writes else work.computed(arrays)
        watch.lap()
        answer = _written(model, message, found, headers)
        watch.lap()
        return answer, len(work.raws)

    def _advance(self, model: Loaded, elements: Array, turn: Turn) -> Array:
        outputs = self.sequences.advance(model, elements, turn)
        return outputs if model.encoding.per_step else outputs[-1]


@dataclass(frozen=True, slots=True)
class _Work:
    """What one request asks of a model."""

    model: Loaded
    raws: list[object]
    options: Options
    writes: bool

    def encoded(self) -> list[Array]:
        arrays = [encode(self.model, raw, index) for index, raw in enumerate(self.raws)]
        check_size(arrays)
        return arrays

    def computed(self, arrays: list[Array]) -> Tensors:
        outputs: list[Array] = [np.empty(0)] * len(arrays)
        for rows in by_length(arrays):
            for row, output in zip(rows, run(self.model, [arrays[i] for i in rows]), strict=True):
                outputs[row] = output
        return computed(self.model.encoding, outputs)

    def written(self) -> Tensors:
        return written(self.model.encoding, predict(self.model, self.raws, self.options))


def _written(
    model: Loaded, message: Message, found: Tensors, headers: Mapping[str, str]
) -> Response:
    head = {"model_name": model.name, "model_version": str(model.version)}
    if message.request.id is not None:
        head["id"] = message.request.id
    outputs = list(chosen(message.request, found))
    return write(head, outputs, headers.get("accept-encoding", ""))


def key_of(model: Loaded) -> Key:
    return (model.owner, model.name, model.version)


class Watch:
    """Nanoseconds from lap to lap."""

    def __init__(self) -> None:
        self._times = [time.perf_counter_ns()]

    def lap(self) -> None:
        self._times.append(time.perf_counter_ns())

    @property
    def laps_ns(self) -> list[int]:
        return [
            later - earlier for earlier, later in zip(self._times, self._times[1:], strict=False)
        ]

    @property
    def now_ms(self) -> int:
        """Of the clock on the wall."""
        return time.time_ns() // 10**6

    @property
    def elapsed_ns(self) -> int:
        return time.perf_counter_ns() - self._times[0]
