"""minGRU (Feng et al. 2024, arXiv:2410.01201), whose gate sees the input alone.

z = σ(W x_t + b);  h_t = (1 - z) ⊙ h_{t-1} + z ⊙ (W_n x_t + b_n).  Gate order z, n.
"""

import torch
from torch import Tensor

from shared.nn.cells.base import Cell, CellOptions, Recur, State
from shared.nn.spec import MinGruSpec


class MinGruCell(Cell):
    num_gates = 2
    products = ()

    def __init__(
        self, spec: MinGruSpec, input_size: int, hidden_size: int, options: CellOptions
    ) -> None:
        super().__init__(input_size, hidden_size, options)
        self.spec = spec
        self.reset_parameters()

    def step(self, x_BG: Tensor, state: State, recur: Recur) -> State:
        x_z, n_BH = x_BG.chunk(2, -1)
        return (torch.lerp(state[0], n_BH, torch.sigmoid(x_z)),)
