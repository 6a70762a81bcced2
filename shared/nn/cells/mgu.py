"""The minimal gated unit (Zhou et al. 2016, arXiv:1603.09420): one gate in both roles of the GRU's.

f = σ(W x_t + U h_{t-1} + b);  n = tanh(W_n x_t + U_n (f ⊙ h_{t-1}) + b_n);
h_t = (1 - f) ⊙ h_{t-1} + f ⊙ n.  Gate order f, n.
"""

import torch
from torch import Tensor

from shared.nn.cells.base import Cell, CellOptions, Recur, State
from shared.nn.cells.seen import CANDIDATE_N, HIDDEN, Keep, Note, Seen, unseen
from shared.nn.kernels.mgu import run_mgu
from shared.nn.kernels.whole import last, suits_loops_without_gradient, suits_walking
from shared.nn.spec import MguSpec


class MguCell(Cell):
    num_gates = 2
    products = (1, 1)
    arrays = (Seen("f", "gate", "gate"), CANDIDATE_N, HIDDEN)
    keep = Keep("f", inverted=True)

    def __init__(
        self, spec: MguSpec, input_size: int, hidden_size: int, options: CellOptions
    ) -> None:
        super().__init__(input_size, hidden_size, options)
        self.spec = spec
        self.reset_parameters()

    def step(self, x_BG: Tensor, state: State, recur: Recur, note: Note = unseen) -> State:
        (h_BH,) = state
        x_f, x_n = x_BG.chunk(2, -1)
        f_BH = torch.sigmoid(x_f + recur(h_BH))
        n_BH = torch.tanh(x_n + recur(f_BH * h_BH, product=1))
        h_BH = (1 - f_BH) * h_BH + f_BH * n_BH
        for name, value_BH in zip("fnh", (f_BH, n_BH, h_BH), strict=True):
            note(name, value_BH)
        return (h_BH,)

    def sequence(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:
        weights = (self.weight_ih, self.weight_hh, self.bias_ih)
        if suits_walking(x_BTI, self.weight_hh):
            from shared.nn.kernels.gpu.gru import run_walked_gru  # no Triton without CUDA

            h_BTH = run_walked_gru(x_BTI, state[0], weights)
        elif suits_loops_without_gradient(x_BTI):
            from shared.nn.kernels.reset_before_compiled import run_reset_before

            h_BTH = run_reset_before(x_BTI, state[0], weights)
        else:
            h_BTH = run_mgu(x_BTI, state[0], weights)
        return h_BTH, last(h_BTH)
