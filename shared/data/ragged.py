"""Sequences of many lengths in one array. Knows neither what the values mean nor where they go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Ragged:
    """N sequences end to end; sequence i is `values[offsets[i]:offsets[i + 1]]`."""

    values: Array  # [total steps] or [total steps, width]
    offsets: NDArray[np.int64]  # [N + 1], from 0 to the total

    @classmethod
    def of(cls, rows: Sequence[Array]) -> Ragged:
        """Of at least one array; all share a dtype and the size of a step."""
        return cls(np.concatenate(rows), offsets_of([len(row) for row in rows]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)

    @property
    def width(self) -> int:
        """Numbers in a step."""
        return self.values.shape[1] if self.values.ndim == 2 else 1

    def row(self, index: int) -> Array:
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def take(self, indices: NDArray[np.int64]) -> Ragged:
        """The sequences at `indices`, in that order; none is fine."""
        if len(indices) == 0:
            return Ragged(self.values[:0], np.zeros(1, dtype=np.int64))
        return Ragged.of([self.row(index) for index in indices])

    def joined(self) -> Ragged:
        """All sequences as a single one."""
        return Ragged(self.values, self.offsets[[0, -1]])


def offsets_of(lengths: Iterable[int]) -> NDArray[np.int64]:
    """Where each of N lengths starts when laid end to end, and the total: int64[N + 1]."""
    sizes = np.fromiter(lengths, dtype=np.int64)
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes)])
