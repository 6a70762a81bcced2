"""Statistics that bring numbers to mean 0 and deviation 1. Knows no records and no splits."""

from __future__ import annotations

import numpy as np

from shared.data.ragged import Array

Statistics = tuple[tuple[float, ...], tuple[float, ...]]

# below this share of its size, the spread of a feature is rounding noise and not information
_NOISE = 1e-12
_TINY = float(np.finfo(np.float32).tiny)


def scaling(values: Array) -> Statistics:
    """Mean and standard deviation of each feature of [N, F]; 1 where a feature is constant."""
    mean, std = values.mean(axis=0), values.std(axis=0)
    constant = std <= np.maximum(np.abs(values).max(axis=0) * _NOISE, _TINY)
    return tuple(mean.tolist()), tuple(np.where(constant, 1.0, std).tolist())


def is_binary(values: Array) -> bool:
    """Whether every number is 0 or 1."""
    return bool(((values == 0) | (values == 1)).all())
