"""What one input is to a network, and back. Knows no targets, no files, no torch."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from shared.data.inputs import (
    Floats,
    InvalidInput,
    Tokens,
    category_of,
    series_of,
    symbols_of,
    vector_of,
)

OutputKind = Literal["categorical", "binary", "real"]
Array = NDArray[Any]

UNKNOWN = "<unk>"  # id 0: what a network reads for a symbol that training did not show
_SHOWN = 20  # categories that an error lists
_FLOAT32 = np.finfo(np.float32)


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Scaled(Frozen):
    """Numbers and the statistics of the train split that bring them to mean 0, deviation 1."""

    size: int = Field(ge=1)
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @cached_property
    def mean_array(self) -> Floats:
        return np.asarray(self.mean)

    @cached_property
    def std_array(self) -> Floats:
        return np.asarray(self.std)

    def normalise(self, values: Array) -> NDArray[np.float32]:
        """Original units to float32 of the same shape [..., size]."""
        scaled: Floats = (values - self.mean_array) / self.std_array
        # a value far outside the train split must not become an infinity
        return np.clip(scaled, _FLOAT32.min, _FLOAT32.max).astype(np.float32)

    def restore(self, values: Array) -> Floats:
        """Normalised [..., size] to float64 in original units."""
        restored: Floats = values.astype(np.float64) * self.std_array + self.mean_array
        return restored

    def restore_json(self, values: Array) -> list[Any]:
        """Normalised [N, size] to N JSON values: numbers when size is 1, lists otherwise."""
        restored = self.restore(values.reshape(-1, self.size))
        return (restored[:, 0] if self.size == 1 else restored).tolist()  # type: ignore[no-any-return]


class TokenInput(Frozen):
    """Symbols; the id of a symbol is its index in `symbols`, and 0 is `<unk>`."""

    kind: Literal["tokens"] = "tokens"
    is_sequence: ClassVar[bool] = True
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
        return describe_labels(output, self.symbols)


class NumericInput(Scaled):
    """A series of `size` numbers a step."""

    kind: Literal["numeric"] = "numeric"
    is_sequence: ClassVar[bool] = True
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


class CategoryInput(Frozen):
    """One symbol without an axis of time: to a network, a sequence of one step."""

    kind: Literal["category"] = "category"
    is_sequence: ClassVar[bool] = False
    symbols: tuple[str, ...]  # `<unk>`, then the categories of the train split

    @property
    def size(self) -> int:
        return len(self.symbols)

    @cached_property
    def ids(self) -> dict[str, int]:
        return {symbol: id_ for id_, symbol in enumerate(self.symbols)}

    def encode(self, raw: object) -> NDArray[np.int32]:
        """int32[1]; raises InvalidInput for a category that training did not show."""
        id_ = self.ids.get(category_of(raw), 0)
        if id_ == 0:
            known = ", ".join(self.symbols[1 : 1 + _SHOWN])
            more = ", ..." if self.size > 1 + _SHOWN else ""
            raise InvalidInput(f"an unknown category: use one of {known}{more}")
        return np.array([id_], dtype=np.int32)


class VectorInput(Scaled):
    """`size` numbers without an axis of time: to a network, a sequence of one step."""

    kind: Literal["vector"] = "vector"
    is_sequence: ClassVar[bool] = False
    binary: bool  # every value is 0 or 1: read as it is (mean 0, deviation 1)

    def encode(self, raw: object) -> NDArray[np.float32]:
        """Normalised float32[1, size]; raises InvalidInput."""
        values = vector_of(raw)
        if values.shape[1] != self.size:
            raise InvalidInput(f"expected {self.size} numbers, got {values.shape[1]}")
        return self.normalise(values)


Input = Annotated[
    TokenInput | NumericInput | CategoryInput | VectorInput, Field(discriminator="kind")
]


def describe_labels(output: Array, labels: tuple[str, ...]) -> dict[str, Any]:
    """The likeliest label of each step of [T, K], with its probability."""
    best = output.argmax(axis=1)
    return {
        "labels": [labels[index] for index in best],
        "probabilities": output.max(axis=1).tolist(),
    }
