"""Long short-term memory (Hochreiter & Schmidhuber 1997) with a forget gate (Gers et al. 2000).

i, f = σ(W x_t + U h_{t-1} + p ⊙ c_{t-1} + b);  g = tanh(W_g x_t + U_g h_{t-1} + b_g);
c_t = f ⊙ c_{t-1} + i ⊙ g;  o = σ(W_o x_t + U_o h_{t-1} + p_o ⊙ c_t + b_o);  h_t = o ⊙ tanh(c_t)

The p ⊙ c are peepholes (Gers & Schmidhuber 2000), an option. With coupled gates (Greff et al.
2017) f = 1 - i and has no weights. Gate order is torch's: i, f, g, o, or i, g, o when coupled.
With layer normalisation h_t = o ⊙ tanh(LN(c_t)), as Ba et al. (2016) have it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.nn.cells.base import Cell, CellOptions, Recur, State
from shared.nn.cells.seen import CANDIDATE_G, HIDDEN, Keep, Note, Seen, unseen
from shared.nn.kernels.limits import (
    lstm_compiles_up_to,
    options_compile_up_to,
    suits_torch,
    threads_sleep,
)
from shared.nn.kernels.lstm import run_peephole_lstm
from shared.nn.kernels.vendor import run_lstm
from shared.nn.kernels.whole import suits_loops, suits_walking
from shared.nn.spec import LstmSpec


class LstmCell(Cell):
    num_states = 2
    has_recurrent_bias = True
    arrays = (
        Seen("i", "gate", "input gate"),
        Seen("f", "gate", "forget gate"),
        CANDIDATE_G,
        Seen("o", "gate", "output gate"),
        Seen("c", "cell_state", "cell state"),
        HIDDEN,
    )
    keep = Keep("f")

    def __init__(
        self, spec: LstmSpec, input_size: int, hidden_size: int, options: CellOptions
    ) -> None:
        self.num_gates = 3 if spec.coupled_gates else 4
        self.products = (self.num_gates,)
        super().__init__(input_size, hidden_size, options)
        self.spec = spec
        if spec.peephole:
            self.peepholes = nn.Parameter(torch.empty(self.num_gates - 1, hidden_size))
        if options.layer_norm:
            self.gain_c = nn.Parameter(torch.ones(hidden_size))
            self.bias_c = nn.Parameter(torch.zeros(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        gates = self.bias_ih.split(self.hidden_size)
        with torch.no_grad():
            if self.spec.coupled_gates:
                gates[0].fill_(-self.spec.forget_bias)  # σ(-z) = 1 - σ(z)
            else:
                gates[1].fill_(self.spec.forget_bias)
            if self.spec.peephole:
                nn.init.zeros_(self.peepholes)  # so that it starts as the cell without them

    def step(self, x_BG: Tensor, state: State, recur: Recur, note: Note = unseen) -> State:
        h_BH, c_BH = state
        *gates, g_BH, o_BH = (x_BG + recur(h_BH)).chunk(self.num_gates, -1)
        early = [self._peeped(z_BH, gate, c_BH) for gate, z_BH in enumerate(gates)]
        i_BH = torch.sigmoid(early[0])
        f_BH = 1 - i_BH if self.spec.coupled_gates else torch.sigmoid(early[1])
        g_BH = torch.tanh(g_BH)
        c_BH = f_BH * c_BH + i_BH * g_BH
        o_BH = torch.sigmoid(self._peeped(o_BH, -1, c_BH))
        h_BH = o_BH * torch.tanh(self._shown(c_BH))
        for name, value_BH in zip("ifgoch", (i_BH, f_BH, g_BH, o_BH, c_BH, h_BH), strict=True):
            note(name, value_BH)
        return h_BH, c_BH

    def _peeped(self, z_BH: Tensor, gate: int, c_BH: Tensor) -> Tensor:
        return z_BH + self.peepholes[gate] * c_BH if self.spec.peephole else z_BH

    def _shown(self, c_BH: Tensor) -> Tensor:
        if not self.options.layer_norm:
            return c_BH
        return functional.layer_norm(c_BH, c_BH.shape[-1:], self.gain_c, self.bias_c)

    def sequence(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:
        if self._suits_loops(x_BTI):
            return self._compiled(x_BTI, state, None)
        if self.spec.peephole:
            bias = self.bias_ih + self.bias_hh
            own = (self.weight_ih, self.weight_hh, bias, self.peepholes)
            if suits_walking(x_BTI, self.weight_hh):
                from shared.nn.kernels.gpu.lstm import run_walked_lstm  # no Triton without CUDA

                return run_walked_lstm(x_BTI, state, own)
            return run_peephole_lstm(x_BTI, state, own)
        weights: list[Tensor] = [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh]
        if self.spec.coupled_gates:
            weights = [uncoupled(weight) for weight in weights]
        return run_lstm(x_BTI, state, weights)

    def _suits_loops(self, x_BTI: Tensor) -> bool:
        if not suits_loops(x_BTI) or self.hidden_size > lstm_compiles_up_to(self.spec):
            return False
        if torch.is_grad_enabled():
            return True
        return not suits_torch(self.spec, len(x_BTI), self.hidden_size, is_wide=_is_wide())

    def optional(self, x_BTI: Tensor, state: State, keep_BH: Tensor | None) -> tuple[Tensor, State]:
        limit = options_compile_up_to(self.spec, self.options.named())
        if suits_loops(x_BTI) and self.hidden_size <= limit:
            path = self._normalised if self.options.layer_norm else self._compiled
            return path(x_BTI, state, keep_BH)
        return self.unroll(x_BTI, state, keep_BH)

    def _compiled(
        self, x_BTI: Tensor, state: State, keep_BH: Tensor | None
    ) -> tuple[Tensor, State]:
        from shared.nn.kernels.lstm_compiled import run_compiled_lstm  # numba takes a second

        bias = self.bias_ih + self.bias_hh
        own = (self.weight_ih, self.weight_hh, bias, self._peepholes(x_BTI))
        return run_compiled_lstm(x_BTI, state, own, keep_BH)

    def _normalised(
        self, x_BTI: Tensor, state: State, keep_BH: Tensor | None
    ) -> tuple[Tensor, State]:
        from shared.nn.kernels.lstm_norm_compiled import run_normalised_lstm

        for_input = (self.weight_ih, self.gain_ih, self.bias_ih + self.bias_hh)
        peepholes = self._peepholes(x_BTI)
        own = (self.weight_hh, peepholes, self.gain_hh, self.gain_c, self.bias_c)
        return run_normalised_lstm(x_BTI, state, for_input, own, keep_BH)

    def _peepholes(self, like: Tensor) -> Tensor:
        if self.spec.peephole:
            return self.peepholes
        return like.new_zeros(self.num_gates - 1, self.hidden_size)


def _is_wide() -> bool:
    has_avx512 = torch.backends.cpu.get_cpu_capability() == "AVX512"
    return has_avx512 and (torch.get_num_threads() == 1 or not threads_sleep())


def uncoupled(weight: Tensor) -> Tensor:
    """Weights i, g, o of coupled gates as i, f, g, o: 1 - σ(z) = σ(-z) makes f's the negated i's."""
    i, g, o = weight.chunk(3)
    return torch.cat([i, -i, g, o])
