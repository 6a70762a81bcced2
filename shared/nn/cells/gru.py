"""The gated recurrent unit whose reset gate acts after the recurrent product (cuDNN, torch.nn.GRU).

r, z = σ(W x_t + U h_{t-1} + b);  n = tanh(W_n x_t + b_n + r ⊙ (U_n h_{t-1} + b_u));
h_t = (1 - z) ⊙ n + z ⊙ h_{t-1}: here z keeps the old state (Cho et al. 2014 write it the other way).
"""

from torch import nn

from shared.nn.cells.base import KernelCell
from shared.nn.spec import GruSpec


class GruCell(KernelCell):
    num_states = 1
    num_gates = 3

    def __init__(self, spec: GruSpec, input_size: int, hidden_size: int) -> None:
        assert spec.reset_after
        super().__init__(input_size, hidden_size, nn.GRU(input_size, hidden_size, batch_first=True))
