"""One layer: a cell in one or two directions over padded sequences. Padding never leaks.

Legend: B batch, T time, I input, H hidden. Rows are padded at their end; `lengths_B` counts what
is real. The forward direction is causal, so padding cannot reach a real step; the backward one
reads each row reversed within its own length, so it starts at that row's last real element.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from shared.nn.cells.base import Cell, CellOptions, State
from shared.nn.cells.registry import build_cell
from shared.nn.spec import Merge, NetworkSpec

LayerState = tuple[State, ...]
"""One state a direction."""


class Layer(nn.Module):
    def __init__(self, spec: NetworkSpec, input_size: int, hidden_size: int) -> None:
        super().__init__()
        options = CellOptions(spec.layer_norm, spec.recurrent_dropout)
        self.cells = nn.ModuleList(
            build_cell(spec.cell, input_size, hidden_size, options)
            for _ in range(spec.num_directions)
        )

    def initial_state(self, batch_size: int, like: Tensor) -> LayerState:
        return tuple(cell.initial_state(batch_size, like) for cell in self._cells())

    def _cells(self) -> list[Cell]:
        return [cell for cell in self.cells if isinstance(cell, Cell)]

    def forward(
        self, x_BTI: Tensor, lengths_B: Tensor, state: LayerState
    ) -> tuple[list[Tensor], LayerState]:
        """h_BTH of each direction, in the input's order of time, and the states.

        The forward state is the one after the last column, the backward state the one after the
        first element of a row that fills all columns; for shorter rows use `last_outputs`.
        """
        h_BTH, forward_state = self.cells[0](x_BTI, state[0])
        if len(self.cells) == 1:
            return [h_BTH], (forward_state,)
        order_BT = reversed_order(lengths_B, x_BTI.shape[1])
        reversed_BTH, backward_state = self.cells[1](reorder(x_BTI, order_BT), state[1])
        return [h_BTH, reorder(reversed_BTH, order_BT)], (forward_state, backward_state)


def reversed_order(lengths_B: Tensor, num_steps: int) -> Tensor:
    """Indices (B, T) that turn each row around within its length and leave padding in place."""
    t_T = torch.arange(num_steps, device=lengths_B.device)
    mirrored_BT = lengths_B.unsqueeze(1) - 1 - t_T
    return torch.where(mirrored_BT >= 0, mirrored_BT, t_T)


def reorder(x_BTD: Tensor, order_BT: Tensor) -> Tensor:
    return x_BTD.gather(1, order_BT.unsqueeze(-1).expand(-1, -1, x_BTD.shape[-1]))


def last_outputs(directions: list[Tensor], lengths_B: Tensor) -> list[Tensor]:
    """Where each direction ended: forward after the last real element, backward after the first."""
    forward_BTH, *backward = directions
    last_B11 = (lengths_B - 1).view(-1, 1, 1).expand(-1, 1, forward_BTH.shape[-1])
    forward_BH = forward_BTH.gather(1, last_B11).squeeze(1)
    return [forward_BH, *(h_BTH[:, 0] for h_BTH in backward)]


def merge(directions: list[Tensor], how: Merge) -> Tensor:
    """One output from one or two directions."""
    if len(directions) == 1:
        return directions[0]
    return MERGES[how](directions[0], directions[1])


def _concat(forward: Tensor, backward: Tensor) -> Tensor:
    return torch.cat([forward, backward], dim=-1)


def _mean(forward: Tensor, backward: Tensor) -> Tensor:
    return (forward + backward) / 2


MERGES: dict[Merge, Callable[[Tensor, Tensor], Tensor]] = {
    Merge.CONCAT: _concat,
    Merge.SUM: torch.add,
    Merge.MEAN: _mean,
    Merge.MUL: torch.mul,
}
