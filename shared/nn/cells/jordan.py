"""Jordan's network (Jordan 1986), which feeds its own output back, not its hidden units.

h_t = g(W x_t + U y_{t-1} + b);  y_t = k(V h_t + d): y is the output and the state, H units wide.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.nn.cells.activations import ACTIVATIONS
from shared.nn.cells.base import Cell, CellOptions, Recur, State
from shared.nn.cells.seen import Note, Seen, unseen
from shared.nn.kernels.jordan import run_jordan
from shared.nn.kernels.whole import last, suits_walking
from shared.nn.spec import JordanSpec


class JordanCell(Cell):
    num_gates = 1
    products = (1,)
    arrays = (
        Seen("a", "hidden_units", "hidden units, inside the cell"),
        Seen("y", "hidden_state", "output, fed back"),
    )

    def __init__(
        self, spec: JordanSpec, input_size: int, hidden_size: int, options: CellOptions
    ) -> None:
        super().__init__(input_size, hidden_size, options)
        self.spec = spec
        self.activation = ACTIVATIONS[spec.activation]
        self.output_activation = ACTIVATIONS[spec.output_activation]
        self.weight_ho = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias_ho = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        nn.init.orthogonal_(self.weight_ho)
        nn.init.zeros_(self.bias_ho)

    def step(self, x_BG: Tensor, state: State, recur: Recur, note: Note = unseen) -> State:
        h_BH = self.activation(x_BG + recur(state[0]))
        y_BH = self.output_activation(functional.linear(h_BH, self.weight_ho, self.bias_ho))
        note("a", h_BH)
        note("y", y_BH)
        return (y_BH,)

    def sequence(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.weight_ho, self.bias_ho)
        activations = (self.spec.activation, self.spec.output_activation)
        if suits_walking(x_BTI, self.weight_hh):
            from shared.nn.kernels.gpu.jordan import run_walked_jordan  # no Triton without CUDA

            y_BTH = run_walked_jordan(x_BTI, state[0], weights, activations)
        else:
            y_BTH = run_jordan(x_BTI, state[0], weights, activations)
        return y_BTH, last(y_BTH)
