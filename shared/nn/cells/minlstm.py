"""minLSTM (Feng et al. 2024, arXiv:2410.01201), whose gates see the input alone and sum to one.

i, f = σ(W x_t + b);  h_t = f/(f + i) ⊙ h_{t-1} + i/(f + i) ⊙ (W_n x_t + b_n).  Gate order i, f, n.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from shared.nn.cells.base import Cell, CellOptions, Recur, State
from shared.nn.cells.seen import CANDIDATE_N, HIDDEN, Keep, Note, Seen, unseen
from shared.nn.kernels.scan import run_scan
from shared.nn.kernels.whole import batch_first, input_share, last
from shared.nn.spec import MinLstmSpec


class MinLstmCell(Cell):
    num_gates = 3
    products = ()
    arrays = (
        Seen("i", "gate", "input gate"),
        Seen("f", "gate", "forget gate"),
        Seen("k", "gate", "share of the state that is kept, f/(f + i)"),
        CANDIDATE_N,
        HIDDEN,
    )
    keep = Keep("k")

    def __init__(
        self, spec: MinLstmSpec, input_size: int, hidden_size: int, options: CellOptions
    ) -> None:
        super().__init__(input_size, hidden_size, options)
        self.spec = spec
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        with torch.no_grad():
            self.bias_ih.split(self.hidden_size)[1].fill_(self.spec.forget_bias)

    def step(self, x_BG: Tensor, state: State, recur: Recur, note: Note = unseen) -> State:
        x_i, x_f, n_BH = x_BG.chunk(3, -1)
        h_BH = torch.lerp(state[0], n_BH, input_weight(x_i, x_f))
        if note is not unseen:  # the equation needs none of these by itself
            i_BH, f_BH, k_BH = torch.sigmoid(x_i), torch.sigmoid(x_f), input_weight(x_f, x_i)
            for name, value_BH in zip("ifknh", (i_BH, f_BH, k_BH, n_BH, h_BH), strict=True):
                note(name, value_BH)
        return (h_BH,)

    def sequence(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:
        parts = zip(self.weight_ih.chunk(3), self.bias_ih.chunk(3), strict=True)
        i_TBH, f_TBH, n_TBH = (input_share(x_BTI, weight, bias) for weight, bias in parts)
        h_BTH = batch_first(run_scan(input_weight(i_TBH, f_TBH), n_TBH, state[0]))
        return h_BTH, last(h_BTH)


def input_weight(x_i: Tensor, x_f: Tensor) -> Tensor:
    """i/(f + i) = σ(log i - log f), which does not divide zero by zero when both gates close."""
    return torch.sigmoid(logsigmoid(x_i) - logsigmoid(x_f))
