"""Elman's simple recurrent network (Elman 1990): h_t = g(W x_t + U h_{t-1} + b), g = tanh, σ, relu."""

import torch
from torch import Tensor

from shared.nn.cells.activations import ACTIVATIONS
from shared.nn.cells.base import Cell, CellOptions, Recur, State
from shared.nn.cells.seen import HIDDEN, Note, unseen
from shared.nn.kernels.elman import run_elman
from shared.nn.kernels.vendor import run_sigmoid, run_simple
from shared.nn.kernels.whole import last
from shared.nn.spec import ElmanSpec

VENDOR = {"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}


class ElmanCell(Cell):
    num_gates = 1
    products = (1,)
    has_recurrent_bias = True
    arrays = (HIDDEN,)

    def __init__(
        self, spec: ElmanSpec, input_size: int, hidden_size: int, options: CellOptions
    ) -> None:
        super().__init__(input_size, hidden_size, options)
        self.spec = spec
        self.activation = ACTIVATIONS[spec.activation]
        self.reset_parameters()

    def step(self, x_BG: Tensor, state: State, recur: Recur, note: Note = unseen) -> State:
        h_BH = self.activation(x_BG + recur(state[0]))
        note("h", h_BH)
        return (h_BH,)

    def sequence(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:
        activation = self.spec.activation
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        if x_BTI.is_cuda and activation in VENDOR:
            return run_simple(VENDOR[activation], x_BTI, state, weights)
        if x_BTI.is_cuda and activation == "sigmoid":
            return run_sigmoid(x_BTI, state, weights)
        h_BTH = run_elman(
            x_BTI,
            state[0],
            (self.weight_ih, self.weight_hh, self.bias_ih + self.bias_hh),
            activation,
        )
        return h_BTH, last(h_BTH)
