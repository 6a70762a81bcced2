"""minGRU (Feng et al. 2024, arXiv:2410.01201), whose gate sees the input alone.

z = σ(W x_t + b);  h_t = (1 - z) ⊙ h_{t-1} + z ⊙ (W_n x_t + b_n).  Gate order z, n.
"""

import torch
from torch import Tensor

from shared.nn.cells.base import Cell, CellOptions, Recur, State
from shared.nn.cells.seen import CANDIDATE_N, HIDDEN, Keep, Note, Seen, unseen
from shared.nn.kernels.scan import run_scan
from shared.nn.kernels.whole import batch_first, input_share, last
from shared.nn.spec import MinGruSpec


class MinGruCell(Cell):
    num_gates = 2
    products = ()
    arrays = (Seen("z", "gate", "update gate"), CANDIDATE_N, HIDDEN)
    keep = Keep("z", inverted=True)

    def __init__(
        self, spec: MinGruSpec, input_size: int, hidden_size: int, options: CellOptions
    ) -> None:
        super().__init__(input_size, hidden_size, options)
        self.spec = spec
        self.reset_parameters()

    def step(self, x_BG: Tensor, state: State, recur: Recur, note: Note = unseen) -> State:
        x_z, n_BH = x_BG.chunk(2, -1)
        z_BH = torch.sigmoid(x_z)
        h_BH = torch.lerp(state[0], n_BH, z_BH)
        for name, value_BH in zip("znh", (z_BH, n_BH, h_BH), strict=True):
            note(name, value_BH)
        return (h_BH,)

    def sequence(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:
        parts = zip(self.weight_ih.chunk(2), self.bias_ih.chunk(2), strict=True)
        z_TBH, n_TBH = (input_share(x_BTI, weight, bias) for weight, bias in parts)
        h_BTH = batch_first(run_scan(torch.sigmoid(z_TBH), n_TBH, state[0]))
        return h_BTH, last(h_BTH)
