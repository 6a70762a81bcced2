"""How a dataset's values become arrays and back; travels with the model. Knows no files, no torch."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from shared.data.inputs import Floats, InvalidInput, Tokens, series_of, symbols_of

__all__ = [
    "UNKNOWN",
    "ClassTarget",
    "Encoding",
    "InvalidInput",
    "MultilabelTarget",
    "NextTarget",
    "NumericInput",
    "RegressionTarget",
    "TagsTarget",
    "TokenInput",
    "ValuesTarget",
]

OutputKind = Literal["categorical", "binary", "real"]
Array = NDArray[Any]

UNKNOWN = "<unk>"  # id 0: what a network reads for a symbol that training did not show
_FLOAT32 = np.finfo(np.float32)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Scaled(_Frozen):
    """Numbers and the statistics of the train split that bring them to mean 0, deviation 1."""

    size: int = Field(ge=1)
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def normalise(self, values: Array) -> NDArray[np.float32]:
        """Original units to float32 of the same shape [..., size]."""
        scaled: Floats = (values - np.asarray(self.mean)) / np.asarray(self.std)
        # a value far outside the train split must not become an infinity
        return np.clip(scaled, _FLOAT32.min, _FLOAT32.max).astype(np.float32)

    def restore(self, values: Array) -> Floats:
        """Normalised [..., size] to float64 in original units."""
        restored: Floats = values.astype(np.float64) * np.asarray(self.std) + np.asarray(self.mean)
        return restored

    def restore_json(self, values: Array) -> list[Any]:
        """Normalised [N, size] to N JSON values: numbers when size is 1, lists otherwise."""
        restored = self.restore(values.reshape(-1, self.size))
        return (restored[:, 0] if self.size == 1 else restored).tolist()  # type: ignore[no-any-return]


class TokenInput(_Frozen):
    """Symbols; the id of a symbol is its index in `symbols`, and 0 is `<unk>`."""

    kind: Literal["tokens"] = "tokens"
    tokens: Tokens  # how text is split; "list": the input is a list of strings
    symbols: tuple[str, ...]  # `<unk>`, then the train split's symbols, most frequent first

    @property
    def size(self) -> int:
        return len(self.symbols)

    @property
    def next_kind(self) -> OutputKind:
        return "categorical"

    @cached_property
    def ids(self) -> dict[str, int]:
        return {symbol: id_ for id_, symbol in enumerate(self.symbols)}

    def encode(self, raw: object) -> NDArray[np.int32]:
        """One input as int32[T], unknown symbols as 0; raises InvalidInput."""
        ids = self.ids
        return np.array([ids.get(s, 0) for s in symbols_of(raw, self.tokens)], dtype=np.int32)

    def describe_next(self, output: Array) -> dict[str, Any]:
        return _describe_labels(output, self.symbols)


class NumericInput(_Scaled):
    """A series of `size` numbers a step."""

    kind: Literal["numeric"] = "numeric"
    binary: bool  # every value is 0 or 1: read as it is (mean 0, deviation 1)

    @property
    def next_kind(self) -> OutputKind:
        return "binary" if self.binary else "real"

    def encode(self, raw: object) -> NDArray[np.float32]:
        """One input as normalised float32[T, size]; raises InvalidInput."""
        values = series_of(raw)
        if values.shape[1] != self.size:
            raise InvalidInput(f"expected {self.size} numbers a step, got {values.shape[1]}", "[0]")
        return self.normalise(values)

    def describe_next(self, output: Array) -> dict[str, Any]:
        if self.binary:
            return {"probabilities": output.tolist()}
        return {"values": self.restore_json(output)}


Input = Annotated[TokenInput | NumericInput, Field(discriminator="kind")]


class _Labelled(_Frozen):
    labels: tuple[str, ...]
    output_kind: ClassVar[OutputKind] = "categorical"

    @property
    def size(self) -> int:
        return len(self.labels)


class ClassTarget(_Labelled):
    """One label a sequence."""

    kind: Literal["class"] = "class"
    per_step: ClassVar[bool] = False

    def describe(self, output: Array) -> dict[str, Any]:
        return _describe_class(output, self.labels)


class TagsTarget(_Labelled):
    """One label a step."""

    kind: Literal["tags"] = "tags"
    per_step: ClassVar[bool] = True

    def describe(self, output: Array) -> dict[str, Any]:
        return _describe_labels(output, self.labels)


class RegressionTarget(_Scaled):
    """One vector a sequence; of size 1, a plain number in JSON."""

    kind: Literal["regression"] = "regression"
    output_kind: ClassVar[OutputKind] = "real"
    per_step: ClassVar[bool] = False

    def describe(self, output: Array) -> dict[str, Any]:
        return {"value": self.restore_json(output)[0]}


class ValuesTarget(_Scaled):
    """One vector a step; of size 1, a plain number in JSON."""

    kind: Literal["values"] = "values"
    output_kind: ClassVar[OutputKind] = "real"
    per_step: ClassVar[bool] = True

    def describe(self, output: Array) -> dict[str, Any]:
        return {"values": self.restore_json(output)}


class MultilabelTarget(_Frozen):
    """`size` independent yes-or-no answers a step."""

    kind: Literal["multilabel"] = "multilabel"
    size: int = Field(ge=1)
    output_kind: ClassVar[OutputKind] = "binary"
    per_step: ClassVar[bool] = True

    def describe(self, output: Array) -> dict[str, Any]:
        return {"probabilities": output.tolist()}


class NextTarget(_Frozen):
    """No target in the data: predict the next step of the input, in the input's own terms."""

    kind: Literal["next"] = "next"
    per_step: ClassVar[bool] = True


Target = Annotated[
    ClassTarget | TagsTarget | RegressionTarget | ValuesTarget | MultilabelTarget | NextTarget,
    Field(discriminator="kind"),
]


class Encoding(_Frozen):
    """All that is needed to feed a network from raw values and to read its outputs."""

    input: Input
    target: Target
    stream: bool = False  # one long sequence a split, read with carried state

    @property
    def output_kind(self) -> OutputKind:
        if isinstance(self.target, NextTarget):
            return self.input.next_kind
        return self.target.output_kind

    @property
    def output_size(self) -> int:
        """Numbers a network gives: one a label, a feature, or a symbol."""
        return self.input.size if isinstance(self.target, NextTarget) else self.target.size

    @property
    def per_step(self) -> bool:
        return self.target.per_step

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of a categorical output's numbers, in order; empty for other outputs."""
        if isinstance(self.target, ClassTarget | TagsTarget):
            return self.target.labels
        if isinstance(self.target, NextTarget) and isinstance(self.input, TokenInput):
            return self.input.symbols
        return ()

    @property
    def mapping(self) -> Literal["many_to_one", "many_to_many"]:
        return "many_to_many" if self.per_step else "many_to_one"

    def encode_input(self, raw: object) -> NDArray[np.int32] | NDArray[np.float32]:
        """One raw input, as in a record: int32[T] ids, or normalised float32[T, F].

        Raises InvalidInput with the path to the fault; unknown symbols become 0.
        """
        return self.input.encode(raw)

    def describe(self, output: Array) -> dict[str, Any]:
        """A network's activated output for one sequence, as JSON in the data's own terms.

        `output` is [K] for a mapping to one, [T, K] for one to many: probabilities for
        categorical and binary outputs, normalised values for real ones.
        """
        if isinstance(self.target, NextTarget):
            return self.input.describe_next(output)
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


def _describe_labels(output: Array, labels: tuple[str, ...]) -> dict[str, Any]:
    best = output.argmax(axis=1)
    return {
        "labels": [labels[index] for index in best],
        "probabilities": output.max(axis=1).tolist(),
    }
