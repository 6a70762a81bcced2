"""Statistics that bring numbers to mean 0 and deviation 1. Knows no files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.data.inputs import Floats
from shared.data.ragged import Array
from shared.data.spool import Column

Statistics = tuple[tuple[float, ...], tuple[float, ...]]

# below this share of its size, the spread of a feature is rounding noise and not information
_NOISE = 1e-12
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Moments:
    """What the steps of the train split are like, number by number: float64[F] each."""

    mean: Floats
    std: Floats
    low: Floats
    high: Floats

    def scaling(self) -> Statistics:
        """Mean and standard deviation of each feature; 1 where a feature is constant."""
        return tuple(self.mean.tolist()), tuple(np.where(self.is_constant, 1.0, self.std).tolist())

    @property
    def is_constant(self) -> NDArray[np.bool_]:
        largest = np.maximum(np.abs(self.low), np.abs(self.high))
        constant: NDArray[np.bool_] = self.std <= np.maximum(largest * _NOISE, _TINY)
        return constant


def moments(column: Column, in_train: NDArray[np.bool_]) -> Moments:
    """Of a column [total, F], over the records that are `in_train`, at least one; read twice."""
    total: Floats = np.zeros(1)
    count = 0
    lows, highs = [], []
    for values in _train_steps(column, in_train):
        total = total + values.sum(axis=0)
        count += len(values)
        lows.append(values.min(axis=0))
        highs.append(values.max(axis=0))
    mean = total / count
    squares: Floats = np.zeros(1)
    for values in _train_steps(column, in_train):
        squares = squares + np.square(values - mean).sum(axis=0)
    std = np.sqrt(squares / count)
    return Moments(mean, std, np.min(lows, axis=0), np.max(highs, axis=0))


def _train_steps(column: Column, in_train: NDArray[np.bool_]) -> Iterator[Array]:
    for first, rows in column.scan():
        values = rows.values[np.repeat(in_train[first : first + len(rows)], rows.lengths)]
        if len(values):
            yield values


def is_binary(values: Array) -> bool:
    """Whether every number is 0 or 1."""
    return bool(((values == 0) | (values == 1)).all())
