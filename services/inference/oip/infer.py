"""An infer request from its bytes to its answer, with what it took. Knows no route."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi import Response

from services.inference.measures import INPUTS, PREDICT_SECONDS
from services.inference.oip.giving import Tensors, chosen, computed, written
from services.inference.oip.message import JSON_LENGTH, Message, read, write
from services.inference.oip.reading import options_of, raw_inputs
from services.inference.oip.sequences import Sequences, Turn, check_rows, turn_of
from services.inference.oip.statistics import Key, Statistics
from services.inference.oip.tensors import Array
from services.inference.options import Options
from services.inference.predicting import SMALL_BYTES, Predictions, encoded, here_or_aside
from services.inference.predictor import predict
from services.inference.presence import to_the_end
from services.inference.registry import Loaded, Registry
from services.inference.writing import writes
from shared.jobs.errors import InvalidSpec

ONE_SEQUENCE = (
    "parameters.sequence_id: what a model writes is a sequence of its own, begun anew by each "
    "request; leave it out."
)


@dataclass(slots=True)
class Protocol:
    """What the endpoints share: networks, what is computed on them together, counts, sequences."""

    registry: Registry
    predictions: Predictions
    sequences: Sequences
    statistics: Statistics = field(default_factory=Statistics)

    async def infer(self, model: Loaded, body: bytes, headers: Mapping[str, str]) -> Response:
        """The answer to an unpacked body; raises `Fact` or RequestValidationError."""
        with PREDICT_SECONDS.time():
            watch = Watch()
            try:
                answer, num_rows = await self._answer(model, body, headers, watch)
            except Exception:
                self.statistics.failed(key_of(model), watch.elapsed_ns)
                raise
        INPUTS.observe(num_rows)
        self.statistics.succeeded(key_of(model), num_rows, watch.laps_ns, watch.now_ms)
        return answer

    async def _answer(
        self, model: Loaded, body: bytes, headers: Mapping[str, str], watch: "Watch"
    ) -> tuple[Response, int]:
        is_small = len(body) <= SMALL_BYTES
        call = await here_or_aside(is_small, _read, body, headers.get(JSON_LENGTH))
        if call.turn is not None:
            model = await to_the_end(self.sequences.model_of, model, call.turn)
        work = await here_or_aside(is_small, _prepared, model, call)
        watch.lap()
        found = await self._found(work, is_small=is_small)
        watch.lap()
        answer = await here_or_aside(is_small, _written, work, found, headers)
        watch.lap()
        return answer, len(work.raws)

    async def _found(self, work: "_Work", *, is_small: bool) -> Tensors:
        if work.call.turn is not None:
            return await to_the_end(self._advanced, work, work.call.turn)
        if work.writes:
            return await to_the_end(work.written)
        outputs = await self.predictions.outputs(work.model, work.arrays)
        return await here_or_aside(is_small, computed, work.model.encoding, outputs)

    def _advanced(self, work: "_Work", turn: Turn) -> Tensors:
        encoding = work.model.encoding
        outputs = self.sequences.advance(work.model, work.arrays[0], turn)
        return computed(encoding, [outputs if encoding.per_step else outputs[-1]])


@dataclass(frozen=True, slots=True)
class _Call:
    """What a body says, whatever the model."""

    message: Message
    options: Options
    turn: Turn | None


@dataclass(frozen=True, slots=True)
class _Work:
    """What one request asks of a model."""

    model: Loaded
    call: _Call
    raws: list[object]
    writes: bool
    arrays: list[Array]
    """Encoded, where they are not the beginnings of what is to be written."""

    def written(self) -> Tensors:
        return written(self.model.encoding, predict(self.model, self.raws, self.call.options))


def _read(body: bytes, json_length: str | None) -> _Call:
    message = read(body, json_length)
    parameters = message.request.parameters
    return _Call(message, options_of(parameters), turn_of(parameters))


def _prepared(model: Loaded, call: _Call) -> _Work:
    raws, is_written = raw_inputs(model.encoding, call.message.tensors), writes(model, call.options)
    if call.turn is not None:
        check_rows(len(raws))
        if is_written:
            raise InvalidSpec(ONE_SEQUENCE, param="parameters.sequence_id")
    return _Work(model, call, raws, is_written, [] if is_written else encoded(model, raws))


def _written(work: _Work, found: Tensors, headers: Mapping[str, str]) -> Response:
    request = work.call.message.request
    head = {"model_name": work.model.name, "model_version": str(work.model.version)}
    if request.id is not None:
        head["id"] = request.id
    outputs = list(chosen(request, found))
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
