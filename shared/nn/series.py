"""From a network that writes numbers to whole series, each step read from the one before. No data.

Legend: B sequences, S steps, V numbers of a step.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from shared.nn.generator import Generator


@dataclass(frozen=True, slots=True)
class Series:
    """What was written for each input."""

    values_BSV: Tensor
    length_B: Tensor
    """Steps up to the first that the network takes for the last one; all where it learnt no stop."""


@torch.no_grad()
def write_series(network: Generator, x: Tensor, lengths_B: Tensor, num_steps: int) -> Series:
    """The network's own numbers for `num_steps` steps at most."""
    memory = network.encode(x, lengths_B)
    state = network.decoder.initial_state(memory)
    value_B1V = memory.summary_BC.new_zeros(len(x), 1, network.shape.num_values)
    is_open_B = torch.ones(len(x), dtype=torch.bool, device=x.device)
    length_B = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    columns: list[Tensor] = []
    for _ in range(num_steps):
        output_B1K, state = network.decoder(value_B1V, state, memory)
        value_B1V = network.written(output_B1K)
        columns.append(value_B1V)
        length_B += is_open_B
        if network.shape.stops:
            is_open_B = is_open_B & (output_B1K[:, 0, -1] <= 0)
    return Series(torch.cat(columns, dim=1), length_B)


def step_by_step(
    network: Generator, x: Tensor, lengths_B: Tensor, num_steps: int
) -> Iterator[tuple[Tensor, bool]]:
    """The series of one input while it is written: numbers (V,), and whether the network takes the
    step for the last one, which ends it. Closing the iterator ends the work."""
    with torch.no_grad():
        memory = network.encode(x, lengths_B)
        state = network.decoder.initial_state(memory)
        value_11V = memory.summary_BC.new_zeros(1, 1, network.shape.num_values)
    for _ in range(num_steps):
        with torch.no_grad():
            output_11K, state = network.decoder(value_11V, state, memory)
            value_11V = network.written(output_11K)
        is_last = network.shape.stops and bool(output_11K[0, 0, -1] > 0)
        yield value_11V[0, 0], is_last
        if is_last:
            return
