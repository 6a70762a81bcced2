"""The training loop. It yields every step; the caller decides what to record, save or stop."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn, optim

from shared.data.batching import Array, Batch
from shared.nn.mappings import AnyNetwork
from shared.nn.stack import StackState
from workers.training.losses import Loss
from workers.training.optimizers import OptimizerPlan, lr_at
from workers.training.passes import TeacherForcing, run_batch

EpochBatches = Callable[[int], Iterator[Batch]]
"""The batches of an epoch, the same ones whenever it is asked again."""


@dataclass
class Position:
    """Where training stands: everything before this point is done."""

    step: int = 0
    epoch: int = 0
    batch: int = 0  # batches done in this epoch
    carried: StackState | None = None  # state that the next batch may go on from


@dataclass(frozen=True, slots=True)
class Step:
    """One optimizer step. Tensors stay on the device, so that reading them is the caller's wait."""

    number: int
    epoch: int
    loss: Tensor
    grad_norm: Tensor
    lr: float
    num_sequences: int
    ends_epoch: bool
    rows: Array | None  # records of the batch, by their number in the training split


@dataclass
class Training:
    """A network on its way."""

    network: AnyNetwork
    optimizer: optim.Optimizer
    plan: OptimizerPlan
    loss: Loss
    batches: EpochBatches
    epochs: int
    clip_norm: float | None
    device: torch.device
    teacher_forcing: TeacherForcing = field(default_factory=TeacherForcing)
    position: Position = field(default_factory=Position)


def fit(training: Training, max_steps: int | None) -> Generator[Step]:
    """Train from the present position to the end, a step at a time.

    Whenever a step is yielded, `training.position` says what comes next, so that saving it and
    starting again there goes on exactly.
    """
    position = training.position
    while position.epoch < training.epochs:
        for batch, is_last in _remaining(training.batches(position.epoch), position.batch):
            if max_steps is not None and position.step >= max_steps:
                return
            epoch = position.epoch
            loss, grad_norm, lr = _take(training, batch)
            position.step += 1
            position.batch += 1
            if is_last:
                position.epoch, position.batch, position.carried = epoch + 1, 0, None
            num_sequences = len(batch.lengths)
            yield Step(
                position.step, epoch, loss, grad_norm, lr, num_sequences, is_last, batch.rows
            )


def _remaining(batches: Iterator[Batch], num_done: int) -> Iterator[tuple[Batch, bool]]:
    """What is left of an epoch, each batch with whether it is the last."""
    for _ in range(num_done):
        next(batches)
    current = next(batches, None)
    while current is not None:
        following = next(batches, None)
        yield current, following is None
        current = following


def _take(training: Training, batch: Batch) -> tuple[Tensor, Tensor, float]:
    network, position = training.network, training.position
    network.train()
    taught = training.teacher_forcing.at(position.step + 1)
    carried = position.carried
    real, position.carried = run_batch(network, batch, training.device, carried, taught)
    loss = training.loss(real.output, real.target).mean()

    training.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    limit = float("inf") if training.clip_norm is None else training.clip_norm
    grad_norm = nn.utils.clip_grad_norm_(network.parameters(), limit)
    lr = lr_at(training.plan, position.step + 1)
    for group in training.optimizer.param_groups:
        group["lr"] = lr
    training.optimizer.step()
    return loss.detach(), grad_norm.detach(), lr
