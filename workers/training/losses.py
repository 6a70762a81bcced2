"""What training minimises, by name. The mean is over real steps (or sequences), never padding.

Legend: B batch, T time, K outputs, N real steps or sequences of a batch.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from shared.nn.readout import real_steps

Loss = Callable[[Tensor, Tensor], Tensor]
"""(N, K) outputs and (N, ...) targets to (N,) losses."""


def _cross_entropy(output_NK: Tensor, target_N: Tensor) -> Tensor:
    return functional.cross_entropy(output_NK, target_N, reduction="none")


def _bce(output_NK: Tensor, target_NK: Tensor) -> Tensor:
    """Negative log-likelihood of a step: summed over its features."""
    loss_NK = functional.binary_cross_entropy_with_logits(output_NK, target_NK, reduction="none")
    return loss_NK.sum(-1)


def _mse(output_NK: Tensor, target_NK: Tensor) -> Tensor:
    return functional.mse_loss(output_NK, target_NK, reduction="none").mean(-1)


def _mae(output_NK: Tensor, target_NK: Tensor) -> Tensor:
    return functional.l1_loss(output_NK, target_NK, reduction="none").mean(-1)


def _huber(output_NK: Tensor, target_NK: Tensor) -> Tensor:
    return functional.huber_loss(output_NK, target_NK, reduction="none").mean(-1)


def with_stop(loss: Loss) -> Loss:
    """Of a series whose end is learnt: its numbers, and behind them whether a step is the last."""

    def both(output_NK: Tensor, target_NK: Tensor) -> Tensor:
        numbers_N = loss(output_NK[:, :-1], target_NK[:, :-1])
        return numbers_N + _bce(output_NK[:, -1:], target_NK[:, -1:])

    return both


LOSSES: dict[str, Loss] = {
    "cross_entropy": _cross_entropy,
    "bce": _bce,
    "mse": _mse,
    "mae": _mae,
    "huber": _huber,
}


@dataclass(frozen=True, slots=True)
class Real:
    """The outputs and targets of a batch with its padding taken out."""

    output: Tensor
    """(N, K)"""
    target: Tensor
    """(N,) or (N, K)"""
    mask_BT: Tensor | None
    """Which steps the N are; None where a sequence has one output."""


def real_parts(output: Tensor, target: Tensor, lengths_B: Tensor, *, per_step: bool) -> Real:
    """Drop padded steps; a target of one output a sequence passes unchanged."""
    if not per_step:
        return Real(output, target, None)
    mask_BT = real_steps(lengths_B, output.shape[1])
    return Real(output[mask_BT], target[mask_BT], mask_BT)
