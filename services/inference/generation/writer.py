"""One sequence while it is written: its events one after the other, then the whole. Knows no HTTP."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from services.inference.generation.stops import StopWatch, SymbolStops, Token
from services.inference.options import GenerateOptions
from services.inference.registry import Loaded
from services.inference.writing import begin, check_work, choice, max_length, writes
from shared.data.encoding import (
    JOINERS,
    NumericInput,
    SeriesTarget,
    TextTarget,
    TokenInput,
    written,
)
from shared.jobs.errors import InvalidSpec
from shared.nn.generation import symbol_by_symbol
from shared.nn.generator import Generator as GeneratingNetwork
from shared.nn.series import step_by_step

Array = NDArray[Any]
Event = dict[str, Any]


class Writer(ABC):
    """Iterating gives an event for each step; `result` is the whole once there are no more."""

    finish_reason = "length"
    """Why it ended: `length`, `stop` (one that the caller named) or `end` (as the network learnt)."""

    @abstractmethod
    def __iter__(self) -> Generator[Event, None, None]:
        """Closing the iterator ends the work."""

    @abstractmethod
    def result(self) -> dict[str, Any]:
        """As predict describes it, and why it ended."""


class TextWriter(Writer):
    """Symbols, one a step."""

    def __init__(self, model: Loaded, x_T: Array, options: GenerateOptions) -> None:
        self.model, self.x_T, self.options = model, x_T, options
        target = model.encoding.target
        part = target if isinstance(target, TextTarget) else model.encoding.input
        assert isinstance(part, TextTarget | TokenInput)
        self.part = part
        self.joiner = JOINERS.get(part.tokens, "")
        self.watch = (SymbolStops if part.tokens == "list" else StopWatch)(options.stop)
        self.shown: list[Token] = []
        self.logprobs: list[float] = []

    def __iter__(self) -> Generator[Event, None, None]:
        length = max_length(self.model, self.options)
        beginning = begin(self.model, [self.x_T], copies=1)
        choose = choice(self.options, length)
        for id_, logprob in symbol_by_symbol(beginning, choose, length):
            self.logprobs.append(logprob)
            if id_ == beginning.stop:
                self.finish_reason = "end"
                break
            yield from self._show(self.watch.take(self._token(id_, logprob)))
            if self.watch.is_over:
                self.finish_reason = "stop"
                return
        yield from self._show(self.watch.rest())

    def _token(self, id_: int, logprob: float) -> Token:
        symbol = self.part.symbols[id_]
        is_first = len(self.logprobs) == 1
        return Token(symbol, symbol if is_first else self.joiner + symbol, logprob)

    def _show(self, tokens: list[Token]) -> Iterator[Event]:
        for token in tokens:
            self.shown.append(token)
            yield {"index": len(self.shown) - 1, **asdict(token)}

    def result(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"text": "".join(token.text for token in self.shown)}
        if self.part.tokens == "list":
            shown = written([token.symbol for token in self.shown], "list")
        score = float(np.mean(self.logprobs))
        return {**shown, "score": score, "finish_reason": self.finish_reason}


class NumberWriter(Writer):
    """Numbers, one step of them at a time."""

    def __init__(self, model: Loaded, x_T: Array, options: GenerateOptions) -> None:
        self.model, self.x_T, self.options = model, x_T, options
        self.values: list[Any] = []

    def __iter__(self) -> Generator[Event, None, None]:
        source = self.model.encoding.target
        steps = self._of_decoder() if isinstance(source, SeriesTarget) else self._continued()
        for value in steps:
            self.values.append(value)
            yield {"index": len(self.values) - 1, "value": value}

    def _of_decoder(self) -> Iterator[Any]:
        network, target = self.model.network, self.model.encoding.target
        assert isinstance(network, GeneratingNetwork)
        assert isinstance(target, SeriesTarget)
        x, lengths_B = torch.from_numpy(self.x_T[None]), torch.tensor([len(self.x_T)])
        length = max_length(self.model, self.options)
        for value_V, is_last in step_by_step(network, x, lengths_B, length):
            yield target.restore_json(value_V.numpy()[None])[0]
            if is_last:
                self.finish_reason = "end"
        if len(self.values) == target.length:
            self.finish_reason = "end"

    def _continued(self) -> Iterator[Any]:
        """What a network that predicts the next numbers makes of its own ones."""
        source, stepper = self.model.encoding.input, self.model.stepper
        assert isinstance(source, NumericInput)
        assert self.options.max_length is not None
        [outputs], state_BS = stepper.run([self.x_T], stepper.initial_state())
        output_BK = outputs[-1:]
        for step in range(self.options.max_length):
            next_BF = (output_BK > 0).astype(output_BK.dtype) if source.binary else output_BK
            yield source.restore_json(next_BF)[0]
            if step < self.options.max_length - 1:
                output_BK, state_BS = stepper.step(next_BF, state_BS)

    def result(self) -> dict[str, Any]:
        return {"values": self.values, "finish_reason": self.finish_reason}


def writer_for(model: Loaded, x_T: Array, options: GenerateOptions) -> Writer:
    """What writes for this model.

    Raises:
        InvalidSpec: the model writes nothing, or an option does not apply.
        TooLarge: the sequence would be longer than is allowed.
    """
    encoding = model.encoding
    if encoding.target.kind == "next" and isinstance(encoding.input, NumericInput):
        _check_numbers(model, options)
        check_work(model, options, 1)
        return NumberWriter(model, x_T, options)
    if not writes(model, options):
        raise InvalidSpec(
            f"Model {model.name!r} writes no sequence unless options.max_length says how long; models "
            "with one output a sequence or a step never do: ask them to predict.",
            param="options.max_length",
        )
    check_work(model, options, 1)
    return (NumberWriter if encoding.target.kind == "series" else TextWriter)(model, x_T, options)


def _check_numbers(model: Loaded, options: GenerateOptions) -> None:
    for name in options.chosen:
        if name != "max_length":
            param = f"options.{name}"
            reason = f"model {model.name!r} writes numbers, among which there is nothing to choose"
            raise InvalidSpec(f"{param}: {reason}; leave it out.", param=param)
    if options.max_length is None:
        raise InvalidSpec(
            "options.max_length: this model predicts the next numbers; say how many steps to write.",
            param="options.max_length",
        )
