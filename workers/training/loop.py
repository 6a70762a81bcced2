"""The training loop. It yields every step; the caller decides what to record, save or stop."""

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn, optim

from shared.data.batching import Array, Batch
from shared.nn.mappings import AnyNetwork
from shared.nn.stack import StackState
from workers.training.losses import Loss
from workers.training.passes import TeacherForcing, run_batch
from workers.training.schedules import Schedule
from workers.training.team import Team

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
    schedule: Schedule
    loss: Loss
    batches: EpochBatches
    epochs: int
    clip_norm: float | None
    device: torch.device
    precision: str = "fp32"
    """Of matrix products: fp32, or bf16 where states do not depend on it."""
    teacher_forcing: TeacherForcing = field(default_factory=TeacherForcing)
    position: Position = field(default_factory=Position)
    team: Team = field(default_factory=Team)


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


def autocast(device: torch.device, precision: str) -> AbstractContextManager[None]:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def _take(training: Training, batch: Batch) -> tuple[Tensor, Tensor, float]:
    network, position, team = training.network, training.position, training.team
    lr = team.next_step(training.schedule.lr_at(position.step + 1, position.epoch))
    network.train()
    taught = training.teacher_forcing.at(position.step + 1)
    carried, mine, call = position.carried, team.share(batch), team.forward(network)
    with autocast(training.device, training.precision):
        real, position.carried = run_batch(network, mine, training.device, carried, taught, call)
    loss, mean_loss = team.mean(training.loss(real.output.float(), real.target))

    training.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    limit = float("inf") if training.clip_norm is None else training.clip_norm
    grad_norm = nn.utils.clip_grad_norm_(network.parameters(), limit)
    for group in training.optimizer.param_groups:
        group["lr"] = lr
    training.optimizer.step()
    return mean_loss, grad_norm.detach(), lr
