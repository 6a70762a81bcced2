"""How a dataset's values become arrays and back; travels with the model. Knows no files, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.data.inputs import InvalidInput, Tokens
from shared.data.parts import (
    UNKNOWN,
    Array,
    CategoryInput,
    Frozen,
    Input,
    NumericInput,
    OutputKind,
    Scaled,
    TokenInput,
    VectorInput,
    describe_labels,
)

__all__ = [
    "START_ID",
    "STOP_ID",
    "TEXT_SPECIALS",
    "UNKNOWN",
    "CategoryInput",
    "ClassTarget",
    "Encoding",
    "InvalidInput",
    "MultilabelTarget",
    "NextTarget",
    "NumericInput",
    "RegressionTarget",
    "SeriesTarget",
    "TagsTarget",
    "TextTarget",
    "TokenInput",
    "ValuesTarget",
    "VectorInput",
]

Steps = Literal["one", "input", "own"]
"""How long a target is: one value, one a step of the input, or a sequence of its own length."""

TEXT_SPECIALS = (UNKNOWN, "<start>", "<stop>")  # what opens the vocabulary of a text target
START_ID, STOP_ID = 1, 2
JOINERS = {"char": "", "word": " "}


class _Labelled(Frozen):
    labels: tuple[str, ...]
    output_kind: ClassVar[OutputKind] = "categorical"

    @property
    def size(self) -> int:
        return len(self.labels)


class ClassTarget(_Labelled):
    """One label a sequence."""

    kind: Literal["class"] = "class"
    steps: ClassVar[Steps] = "one"

    def describe(self, output: Array) -> dict[str, Any]:
        return _describe_class(output, self.labels)


class TagsTarget(_Labelled):
    """One label a step."""

    kind: Literal["tags"] = "tags"
    steps: ClassVar[Steps] = "input"

    def describe(self, output: Array) -> dict[str, Any]:
        return describe_labels(output, self.labels)


class RegressionTarget(Scaled):
    """One vector a sequence; of size 1, a plain number in JSON."""

    kind: Literal["regression"] = "regression"
    output_kind: ClassVar[OutputKind] = "real"
    steps: ClassVar[Steps] = "one"

    def describe(self, output: Array) -> dict[str, Any]:
        return {"value": self.restore_json(output)[0]}


class ValuesTarget(Scaled):
    """One vector a step; of size 1, a plain number in JSON."""

    kind: Literal["values"] = "values"
    output_kind: ClassVar[OutputKind] = "real"
    steps: ClassVar[Steps] = "input"

    def describe(self, output: Array) -> dict[str, Any]:
        return {"values": self.restore_json(output)}


class MultilabelTarget(Frozen):
    """`size` independent yes-or-no answers a step."""

    kind: Literal["multilabel"] = "multilabel"
    size: int = Field(ge=1)
    output_kind: ClassVar[OutputKind] = "binary"
    steps: ClassVar[Steps] = "input"

    def describe(self, output: Array) -> dict[str, Any]:
        return {"probabilities": output.tolist()}


class TextTarget(Frozen):
    """A sequence of symbols of its own vocabulary and length, ended by a stop symbol."""

    kind: Literal["text"] = "text"
    output_kind: ClassVar[OutputKind] = "categorical"
    steps: ClassVar[Steps] = "own"
    tokens: Tokens  # how text is split; "list": the target is a list of strings
    symbols: tuple[str, ...]  # TEXT_SPECIALS, then the train split's symbols, most frequent first
    longest: int = Field(ge=1)  # symbols of the train split's longest target, stop left out

    @property
    def size(self) -> int:
        return len(self.symbols)

    def describe(self, ids: Array) -> dict[str, Any]:
        """The ids [S] of one sequence, stop left out, as text or as a list of tokens."""
        return written([self.symbols[id_] for id_ in ids], self.tokens)


class SeriesTarget(Scaled):
    """A series of its own length, `size` numbers a step."""

    kind: Literal["series"] = "series"
    output_kind: ClassVar[OutputKind] = "real"
    steps: ClassVar[Steps] = "own"
    longest: int = Field(ge=1)  # steps of the train split's longest target
    length: int | None  # steps of every target; None: they differ, and where to stop is learnt

    def describe(self, output: Array) -> dict[str, Any]:
        return {"values": self.restore_json(output)}


class NextTarget(Frozen):
    """No target in the data: predict the next step of the input, in the input's own terms."""

    kind: Literal["next"] = "next"
    steps: ClassVar[Steps] = "input"


Target = Annotated[
    ClassTarget
    | TagsTarget
    | RegressionTarget
    | ValuesTarget
    | MultilabelTarget
    | TextTarget
    | SeriesTarget
    | NextTarget,
    Field(discriminator="kind"),
]


MappingName = Literal["one_to_one", "one_to_many", "many_to_one", "many_to_many"]
AlignmentName = Literal["aligned", "encoder_decoder"]

_MAPPINGS: dict[tuple[bool, Steps], MappingName] = {  # is the input a sequence, and the target?
    (False, "one"): "one_to_one",
    (False, "own"): "one_to_many",
    (True, "one"): "many_to_one",
    (True, "input"): "many_to_many",
    (True, "own"): "many_to_many",
}
_ALIGNMENTS: dict[Steps, AlignmentName] = {"input": "aligned", "own": "encoder_decoder"}


class Encoding(Frozen):
    """All that is needed to feed a network from raw values and to read its outputs."""

    input: Input
    target: Target
    stream: bool = False  # one long sequence a split, read with carried state

    @property
    def output_kind(self) -> OutputKind:
        if isinstance(self.target, NextTarget):
            return self._next_input.next_kind
        return self.target.output_kind

    @property
    def output_size(self) -> int:
        """Numbers a network gives: one a label, a feature, or a symbol; and one for the stop."""
        if isinstance(self.target, NextTarget):
            return self.input.size
        return self.target.size + self.stops

    @property
    def stops(self) -> bool:
        """Whether a network learns where a series ends."""
        return isinstance(self.target, SeriesTarget) and self.target.length is None

    @property
    def per_step(self) -> bool:
        """Whether there is one output for each step of the input."""
        return self.target.steps == "input"

    @property
    def generates(self) -> bool:
        """Whether the output is a sequence of its own length."""
        return self.target.steps == "own"

    @property
    def _next_input(self) -> TokenInput | NumericInput:
        """What a next step is predicted of; building refuses inputs without time."""
        assert isinstance(self.input, TokenInput | NumericInput)
        return self.input

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of a categorical output's numbers, in order; empty for other outputs."""
        if isinstance(self.target, ClassTarget | TagsTarget):
            return self.target.labels
        if isinstance(self.target, NextTarget) and isinstance(self.input, TokenInput):
            return self.input.symbols
        return ()

    @property
    def mapping(self) -> MappingName:
        return _MAPPINGS[(self.input.is_sequence, self.target.steps)]

    @property
    def alignment(self) -> AlignmentName | None:
        """How two sequences relate; None where input or output is no sequence."""
        return _ALIGNMENTS[self.target.steps] if self.mapping == "many_to_many" else None

    def encode_input(self, raw: object) -> NDArray[np.int32] | NDArray[np.float32]:
        """One raw input, as in a record: int32[T] ids, or normalised float32[T, F].

        Raises InvalidInput with the path to the fault; unknown symbols become 0.
        """
        return self.input.encode(raw)

    def describe(self, output: Array) -> dict[str, Any]:
        """A network's activated output for one sequence, as JSON in the data's own terms.

        `output` is [K] for a mapping to one, [T, K] for an aligned one: probabilities for
        categorical and binary outputs, normalised values for real ones; for text the ids [S].
        """
        if isinstance(self.target, NextTarget):
            return self._next_input.describe_next(output)
        return self.target.describe(output)

    def describe_step(self, output: Array) -> dict[str, Any]:
        """One step [K] of a per-step output: a label with all probabilities, or the K numbers."""
        if self.output_kind == "categorical":
            return _describe_class(output, self.labels)
        if not self.per_step:
            return self.describe(output)
        [(name, steps)] = self.describe(output[None]).items()
        return {name: steps[0] if isinstance(steps[0], list) else steps}


def _describe_class(output: Array, labels: tuple[str, ...]) -> dict[str, Any]:
    order = np.argsort(-output, kind="stable")
    probabilities = {labels[index]: float(output[index]) for index in order}
    return {"label": labels[order[0]], "probabilities": probabilities}


def written(symbols: Sequence[str], tokens: Tokens) -> dict[str, Any]:
    """Symbols as they are read: `{"text"}`, or `{"tokens"}` where each stands for itself."""
    if tokens == "list":
        return {"tokens": list(symbols)}
    return {"text": JOINERS[tokens].join(symbols)}
