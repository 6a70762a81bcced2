"""Long short-term memory (Hochreiter & Schmidhuber 1997) with a forget gate (Gers et al. 2000).

i, f, o = σ(W x_t + U h_{t-1} + b);  g = tanh(W_g x_t + U_g h_{t-1} + b_g);
c_t = f ⊙ c_{t-1} + i ⊙ g;  h_t = o ⊙ tanh(c_t)
"""

import torch
from torch import Tensor, nn

from shared.nn.cells.base import KernelCell, State
from shared.nn.spec import LstmSpec


class LstmCell(KernelCell):
    num_states = 2
    num_gates = 4

    def __init__(self, spec: LstmSpec, input_size: int, hidden_size: int) -> None:
        kernel = nn.LSTM(input_size, hidden_size, batch_first=True)
        self.forget_bias = spec.forget_bias
        super().__init__(input_size, hidden_size, kernel)

    def reset_parameters(self) -> None:
        super().reset_parameters()
        _, forget_H, _, _ = self.gates("bias_ih_l0")
        with torch.no_grad():
            forget_H.fill_(self.forget_bias)

    def forward(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:
        h_BH, c_BH = state
        h_BTH, (h_1BH, c_1BH) = self.kernel(x_BTI, (h_BH.unsqueeze(0), c_BH.unsqueeze(0)))
        return h_BTH, (h_1BH.squeeze(0), c_1BH.squeeze(0))
