"""The gated recurrent unit in its two forms (Cho et al. 2014, arXiv:1406.1078); gate order r, z, n.

Reset after the recurrent product, as in cuDNN and torch.nn.GRU; z keeps the old state:
    r, z = σ(W x_t + U h_{t-1} + b);  n = tanh(W_n x_t + b_n + r ⊙ (U_n h_{t-1} + b_u));
    h_t = (1 - z) ⊙ n + z ⊙ h_{t-1}
Reset before it, as Chung et al. (2014, arXiv:1412.3555) write the unit; z takes the new state:
    n = tanh(W_n x_t + U_n (r ⊙ h_{t-1}) + b_n);  h_t = z ⊙ n + (1 - z) ⊙ h_{t-1}
"""

import torch
from torch import Tensor

from shared.nn.cells.base import Cell, CellOptions, Recur, State
from shared.nn.cells.seen import CANDIDATE_N, HIDDEN, Keep, Note, Seen, unseen
from shared.nn.kernels.gru import run_gru
from shared.nn.kernels.limits import gru_compiles_up_to, options_compile_up_to
from shared.nn.kernels.vendor import run_simple
from shared.nn.kernels.whole import (
    last,
    suits_loops,
    suits_loops_without_gradient,
    suits_walking,
)
from shared.nn.spec import GruSpec


class GruCell(Cell):
    num_gates = 3
    products = (2, 1)
    has_recurrent_bias = True
    arrays = (
        Seen("r", "gate", "reset gate"),
        Seen("z", "gate", "update gate"),
        CANDIDATE_N,
        HIDDEN,
    )

    def __init__(
        self, spec: GruSpec, input_size: int, hidden_size: int, options: CellOptions
    ) -> None:
        super().__init__(input_size, hidden_size, options)
        self.spec = spec
        self.keep = Keep("z", inverted=not spec.reset_after)
        self.reset_parameters()

    def step(self, x_BG: Tensor, state: State, recur: Recur, note: Note = unseen) -> State:
        (h_BH,) = state
        x_r, x_z, x_n = x_BG.chunk(3, -1)
        h_r, h_z = recur(h_BH).chunk(2, -1)
        r_BH, z_BH = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        if self.spec.reset_after:
            n_BH = torch.tanh(x_n + r_BH * recur(h_BH, product=1))
            h_BH = (1 - z_BH) * n_BH + z_BH * h_BH
        else:
            n_BH = torch.tanh(x_n + recur(r_BH * h_BH, product=1))
            h_BH = z_BH * n_BH + (1 - z_BH) * h_BH
        for name, value_BH in zip("rznh", (r_BH, z_BH, n_BH, h_BH), strict=True):
            note(name, value_BH)
        return (h_BH,)

    def sequence(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:
        if suits_loops(x_BTI) and self.hidden_size <= gru_compiles_up_to(self.spec):
            return self._compiled(x_BTI, state, None)
        if not self.spec.reset_after and suits_loops_without_gradient(x_BTI):
            from shared.nn.kernels.reset_before_compiled import run_reset_before

            own = (self.weight_ih, self.weight_hh, self.bias_ih + self.bias_hh)
            h_BTH = run_reset_before(x_BTI, state[0], own)
            return h_BTH, last(h_BTH)
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        is_vendors = x_BTI.is_cuda or not torch.is_grad_enabled()  # ours wins in training
        if is_vendors and self.spec.reset_after:
            return run_simple(torch.gru, x_BTI, state, weights)
        if not self.spec.reset_after and suits_walking(x_BTI, self.weight_hh):
            from shared.nn.kernels.gpu.gru import run_walked_gru  # no Triton without CUDA

            own = (self.weight_ih, self.weight_hh, self.bias_ih + self.bias_hh)
            h_BTH = run_walked_gru(x_BTI, state[0], own)
            return h_BTH, last(h_BTH)
        h_BTH = run_gru(x_BTI, state[0], weights, reset_after=self.spec.reset_after)
        return h_BTH, last(h_BTH)

    def optional(self, x_BTI: Tensor, state: State, keep_BH: Tensor | None) -> tuple[Tensor, State]:
        limit = options_compile_up_to(self.spec, self.options.named())
        if suits_loops(x_BTI) and self.hidden_size <= limit:
            return self._compiled(x_BTI, state, keep_BH)
        return self.unroll(x_BTI, state, keep_BH)

    def _compiled(
        self, x_BTI: Tensor, state: State, keep_BH: Tensor | None
    ) -> tuple[Tensor, State]:
        from shared.nn.kernels.gru_compiled import run_compiled_gru  # numba takes a second

        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        h_BTH = run_compiled_gru(x_BTI, state[0], weights, keep_BH)
        return h_BTH, last(h_BTH)
