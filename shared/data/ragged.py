"""Sequences of many lengths in one array. Knows neither what the values mean nor where they go."""

from __future__ import annotations

from collections.abc import Sequence
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
    def together(cls, parts: Sequence[Ragged]) -> Ragged:
        """The sequences of several, at least one; a single one as it is."""
        if len(parts) == 1:
            return parts[0]
        values = np.concatenate([part.values for part in parts])
        return cls(values, offsets_of(np.concatenate([part.lengths for part in parts])))

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

    def joined(self) -> Ragged:
        """All sequences as a single one."""
        return Ragged(self.values, self.offsets[[0, -1]])


def offsets_of(lengths: NDArray[np.integer]) -> NDArray[np.int64]:
    """Where each of N lengths starts when laid end to end, and the total: int64[N + 1]."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
