"""How good a network is on a split: loss and the metrics that fit its target."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from shared.data.batching import Batch
from shared.nn.network import Network
from workers.training.loop import detached, to_tensors
from workers.training.losses import Loss, Real, real_parts

Metric = Callable[["Totals"], float]


class Totals:
    """Sums over a split, from which every metric follows."""

    def __init__(self, num_outputs: int, scale_K: Tensor | None) -> None:
        self.scale_K = scale_K
        self.count = 0
        self.loss = 0.0
        self.correct = 0
        self.squared = 0.0
        self.absolute = 0.0
        self.num_sequences = 0
        self.num_exact = 0
        self.hits_K, self.guesses_K, self.truths_K = torch.zeros(3, num_outputs, dtype=torch.int64)

    def add(self, real: Real, losses_N: Tensor) -> None:
        self.count += len(losses_N)
        self.loss += float(losses_N.double().sum())

    def add_labels(self, real: Real) -> None:
        guess_N = real.output.argmax(-1)
        right_N = guess_N == real.target
        num_labels = len(self.hits_K)
        self.correct += int(right_N.sum())
        self.hits_K += _counts(guess_N[right_N], num_labels)
        self.guesses_K += _counts(guess_N, num_labels)
        self.truths_K += _counts(real.target, num_labels)
        if real.mask_BT is not None:
            right_BT = torch.ones_like(real.mask_BT)
            right_BT[real.mask_BT] = right_N
            self.num_sequences += len(right_BT)
            self.num_exact += int(right_BT.all(1).sum())

    def add_numbers(self, real: Real) -> None:
        """Errors in the target's own units."""
        error_NK = (real.output - real.target).double()
        if self.scale_K is not None:
            error_NK = error_NK * self.scale_K.to(error_NK)
        self.squared += float(error_NK.square().mean(-1).sum())
        self.absolute += float(error_NK.abs().mean(-1).sum())


def _counts(labels_N: Tensor, num_labels: int) -> Tensor:
    return torch.bincount(labels_N, minlength=num_labels).cpu()


def _f1_macro(totals: Totals) -> float:
    """Mean over the labels that occur or were guessed."""
    denominator_K = totals.guesses_K + totals.truths_K
    seen_K = denominator_K > 0
    f1_K = 2 * totals.hits_K[seen_K] / denominator_K[seen_K]
    return float(f1_K.double().mean())


def _mean_loss(totals: Totals) -> float:
    return totals.loss / totals.count


METRICS: dict[str, Metric] = {
    "loss": _mean_loss,
    "nll_per_step": _mean_loss,  # binary cross entropy is summed over the features of a step
    "accuracy": lambda totals: totals.correct / totals.count,
    "token_accuracy": lambda totals: totals.correct / totals.count,
    "f1_macro": _f1_macro,
    "exact_match": lambda totals: totals.num_exact / totals.num_sequences,
    "perplexity": lambda totals: math.exp(min(_mean_loss(totals), 700.0)),
    "bits_per_token": lambda totals: _mean_loss(totals) / math.log(2),
    "mse": lambda totals: totals.squared / totals.count,
    "mae": lambda totals: totals.absolute / totals.count,
}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What to measure and how."""

    loss: Loss
    names: tuple[str, ...]
    """Metrics beside loss."""
    output_kind: str
    per_step: bool
    scale: tuple[float, ...] | None
    """Deviation of each number, which turns normalised errors into the target's units."""


@torch.no_grad()
def evaluate(
    network: Network, batches: Iterator[Batch], wanted: Evaluation, device: torch.device
) -> dict[str, float]:
    """Loss and metrics by name, without a prefix. Leaves every random generator as it was."""
    network.eval()
    scale_K = None if wanted.scale is None else torch.tensor(wanted.scale, dtype=torch.float64)
    totals, carried = Totals(network.shape.output_size, scale_K), None
    for batch in batches:
        x, lengths_B, y = to_tensors(batch, device)
        output, after = network(x, lengths_B, carried if batch.carries else None)
        carried = detached(after)
        real = real_parts(output, y, lengths_B, per_step=wanted.per_step)
        totals.add(real, wanted.loss(real.output, real.target))
        ADDERS[wanted.output_kind](totals, real)
    return {name: METRICS[name](totals) for name in ("loss", *wanted.names)}


ADDERS: dict[str, Callable[[Totals, Real], None]] = {
    "categorical": Totals.add_labels,
    "real": Totals.add_numbers,
    "binary": lambda totals, real: None,
}
