"""Elman's simple recurrent network: h_t = g(W x_t + U h_{t-1} + b), g = tanh or relu (Elman 1990)."""

from torch import nn

from shared.nn.cells.base import KernelCell
from shared.nn.spec import ElmanSpec


class ElmanCell(KernelCell):
    num_states = 1
    num_gates = 1

    def __init__(self, spec: ElmanSpec, input_size: int, hidden_size: int) -> None:
        kernel = nn.RNN(input_size, hidden_size, nonlinearity=spec.activation, batch_first=True)
        super().__init__(input_size, hidden_size, kernel)
