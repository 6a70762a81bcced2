"""One batch through a network of any mapping: what came out, beside what should have.

Legend: B batch, S output steps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from shared.data.batching import Batch
from shared.nn.decoder import map_state
from shared.nn.generator import Generator
from shared.nn.mappings import AnyNetwork
from shared.nn.spec import Mapping
from shared.nn.stack import StackState
from workers.training.losses import Real, real_parts


@dataclass(frozen=True, slots=True)
class TeacherForcing:
    """The share of true symbols that a decoder reads: a straight line over the steps."""

    start: float = 1.0
    end: float = 1.0
    total_steps: int = 1

    def at(self, step: int) -> float:
        """The share at the step with this number, the first being 1."""
        done = min(1.0, (step - 1) / max(1, self.total_steps - 1))
        return self.start + (self.end - self.start) * done


def run_batch(
    network: AnyNetwork,
    batch: Batch,
    device: torch.device,
    carried: StackState | None,
    teacher_forcing: float = 1.0,
    forward: Callable[..., Any] | None = None,
) -> tuple[Real, StackState | None]:
    """Outputs and targets without padding, and the state that a batch which carries goes on from.

    `forward` is called in the network's place.
    """
    call = forward or network
    x, lengths_B, y = to_tensors(batch, device)
    if isinstance(network, Generator):
        assert batch.target_lengths is not None
        read = y if network.shape.writes == "symbols" else y[..., : network.shape.num_values]
        logits_BSK = call(x, lengths_B, read, teacher_forcing)
        target_lengths_B = torch.from_numpy(batch.target_lengths).to(device, non_blocking=True)
        return real_parts(logits_BSK, y, target_lengths_B, per_step=True), None
    output, after = call(x, lengths_B, carried if batch.carries else None)
    per_step = network.shape.mapping is Mapping.MANY_TO_MANY
    return real_parts(output, y, lengths_B, per_step=per_step), detached(after)


def to_tensors(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """x, lengths_B and y on the device; a CPU tensor shares the batch's memory."""
    arrays = (batch.x, batch.lengths, batch.y)
    x, lengths_B, y = (torch.from_numpy(array).to(device, non_blocking=True) for array in arrays)
    return x, lengths_B, y


def detached(state: StackState) -> StackState:
    """The same state without the steps that led to it."""
    return map_state(state, Tensor.detach)
