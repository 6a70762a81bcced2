"""How a readout over all steps is kept up to date step by step; equal to shared.nn.readout's.

Legend: B rows, D width of what a step shows, P numbers that a pool keeps.
"""

from abc import ABC, abstractmethod

import numpy as np
from torch import nn

from shared.nn.readout import AttentionPool, MaxPool, MeanPool
from shared.nn.steps.cells import Array


class PoolStep(ABC):
    """A vector (B, D) of all steps so far, from a memory (B, P) of fixed size."""

    num_kept: int
    """P."""
    first: float = 0.0
    """What a memory holds before the first step."""

    @abstractmethod
    def __call__(self, h_BD: Array, kept_BP: Array) -> tuple[Array, Array]:
        """The vector, and the memory after one more step."""


class LastStep(PoolStep):
    num_kept = 0

    def __call__(self, h_BD: Array, kept_BP: Array) -> tuple[Array, Array]:
        return h_BD, kept_BP


class MeanStep(PoolStep):
    """Keeps the number of steps and their sum."""

    def __init__(self, size: int) -> None:
        self.num_kept = size + 1

    def __call__(self, h_BD: Array, kept_BP: Array) -> tuple[Array, Array]:
        count_B1, total_BD = kept_BP[:, :1] + 1, kept_BP[:, 1:] + h_BD
        return total_BD / count_B1, np.concatenate([count_B1, total_BD], -1)


class MaxStep(PoolStep):
    """Keeps the largest values."""

    first = -np.inf

    def __init__(self, size: int) -> None:
        self.num_kept = size

    def __call__(self, h_BD: Array, kept_BP: Array) -> tuple[Array, Array]:
        most_BD = np.maximum(h_BD, kept_BP)
        return most_BD, most_BD


class AttentionStep(PoolStep):
    """Keeps the largest score, the sum of all weights relative to it, and the weighted sum."""

    first = -np.inf  # a score below every other; the sums start from it, see below

    def __init__(self, size: int, pool: AttentionPool) -> None:
        self.num_kept = size + 2
        self.hidden = pool.hidden.weight.detach().numpy()
        self.bias = pool.hidden.bias.detach().numpy()
        self.score = pool.score.weight.detach().numpy()

    def __call__(self, h_BD: Array, kept_BP: Array) -> tuple[Array, Array]:
        score_B1 = np.tanh(h_BD @ self.hidden.T + self.bias) @ self.score.T
        before_B1 = kept_BP[:, :1]
        is_first_B1 = np.isneginf(before_B1)
        most_B1 = np.maximum(score_B1, before_B1)
        weight_B1 = np.exp(score_B1 - most_B1)
        sums_BS = np.where(is_first_B1, 0, kept_BP[:, 1:]) * np.exp(before_B1 - most_B1)
        sums_BS = sums_BS + weight_B1 * np.concatenate([np.ones_like(score_B1), h_BD], -1)
        return sums_BS[:, 1:] / sums_BS[:, :1], np.concatenate([most_B1, sums_BS], -1)


def pool_step(pool: nn.Module | None, size: int) -> PoolStep:
    """What keeps this readout; None reads the last step."""
    if isinstance(pool, AttentionPool):
        return AttentionStep(size, pool)
    if isinstance(pool, MeanPool):
        return MeanStep(size)
    return MaxStep(size) if isinstance(pool, MaxPool) else LastStep()
