"""How good a network is on a split: loss and the metrics that fit its target."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from shared.data.batching import Batch
from shared.nn.generation import beginning, greedy
from shared.nn.generator import Generator
from shared.nn.mappings import AnyNetwork
from shared.nn.series import write_series
from shared.nn.stack import StackState
from workers.training.edits import num_edits
from workers.training.losses import Loss, Real, real_parts
from workers.training.passes import run_batch, to_tensors

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
        self.num_values = 0  # steps or sequences whose numbers were compared
        self.num_sequences = 0
        self.num_exact = 0
        self.num_edits = 0
        self.num_symbols = 0  # of the texts that edits were counted against
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

    def add_symbols(self, real: Real) -> None:
        """Symbols of a text, guessed with the true ones before them given."""
        self.correct += int((real.output.argmax(-1) == real.target).sum())

    def add_text(self, guess: list[int], truth: list[int]) -> None:
        """One sequence as the network wrote it, untaught, and as it should be."""
        self.num_sequences += 1
        self.num_exact += guess == truth
        self.num_edits += num_edits(guess, truth)
        self.num_symbols += len(truth)

    def add_numbers(self, real: Real) -> None:
        """Errors in the target's own units."""
        error_NK = (real.output - real.target).double()
        if self.scale_K is not None:
            error_NK = error_NK * self.scale_K.to(error_NK)
        self.num_values += len(error_NK)
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
    "edit_rate": lambda totals: totals.num_edits / totals.num_symbols,
    "perplexity": lambda totals: math.exp(min(_mean_loss(totals), 700.0)),
    "bits_per_token": lambda totals: _mean_loss(totals) / math.log(2),
    "mse": lambda totals: totals.squared / totals.num_values,
    "mae": lambda totals: totals.absolute / totals.num_values,
}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What to measure and how."""

    loss: Loss
    names: tuple[str, ...]
    """Metrics beside loss."""
    adder: str
    """Which sums, beside the loss, its metrics follow from: a row of ADDERS."""
    scale: tuple[float, ...] | None
    """Deviation of each number, which turns normalised errors into the target's units."""
    max_length: int = 0
    """Symbols after which a text is cut off, where texts are written."""


@torch.no_grad()
def evaluate(
    network: AnyNetwork,
    batches: Iterator[Batch],
    wanted: Evaluation,
    device: torch.device,
    sample: Iterable[Batch] = (),
) -> dict[str, float]:
    """Loss and metrics by name, without a prefix. Leaves every random generator as it was.

    Where texts are written, those of `sample` are decoded greedily for exact_match and edit_rate,
    and series are written from their own numbers for mse and mae; everything else is measured with
    the true symbols or numbers given.
    """
    network.eval()
    scale_K = None if wanted.scale is None else torch.tensor(wanted.scale, dtype=torch.float64)
    totals = Totals(network.shape.output_size, scale_K)
    carried: StackState | None = None
    for batch in batches:
        real, carried = run_batch(network, batch, device, carried)
        totals.add(real, wanted.loss(real.output, real.target))
        ADDERS[wanted.adder](totals, real)
    if isinstance(network, Generator):
        for batch in sample:
            WRITERS[network.shape.writes](network, batch, wanted.max_length, totals, device)
    return {name: METRICS[name](totals) for name in ("loss", *wanted.names)}


def _write(
    network: Generator, batch: Batch, max_length: int, totals: Totals, device: torch.device
) -> None:
    assert batch.target_lengths is not None
    x, lengths_B, _ = to_tensors(batch, device)
    guesses = greedy(beginning(network, x, lengths_B), max_length)
    for guess, truth, length in zip(guesses, batch.y, batch.target_lengths, strict=True):
        totals.add_text(guess.symbols, truth[: length - 1].tolist())


def _write_numbers(
    network: Generator, batch: Batch, max_length: int, totals: Totals, device: torch.device
) -> None:
    """As many steps as the truth has, wherever the network would stop."""
    assert batch.target_lengths is not None
    x, lengths_B, y = to_tensors(batch, device)
    values_BSV = write_series(network, x, lengths_B, y.shape[1]).values_BSV
    target_lengths_B = torch.from_numpy(batch.target_lengths).to(device)
    truth_BSV = y[..., : network.shape.num_values]
    totals.add_numbers(real_parts(values_BSV, truth_BSV, target_lengths_B, per_step=True))


Writer = Callable[[Generator, Batch, int, Totals, torch.device], None]
WRITERS: dict[str, Writer] = {"symbols": _write, "numbers": _write_numbers}
ADDERS: dict[str, Callable[[Totals, Real], None]] = {
    "labels": Totals.add_labels,
    "symbols": Totals.add_symbols,
    "numbers": Totals.add_numbers,
    "nothing": lambda totals, real: None,
}
