"""What a cell is: whole sequences in, hidden states out. Legend: B batch, T time, I input, H hidden."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]
"""What a step hands to the next, each tensor (B, H): (h,) or (h, c)."""


class Cell(nn.Module, ABC):
    """One direction of one layer, unrolled over time."""

    num_states: int
    """Tensors in a state."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size

    def initial_state(self, batch_size: int, like: Tensor) -> State:
        """Zeros (B, H), on the device and in the type of `like`."""
        zeros = like.new_zeros(batch_size, self.hidden_size)
        return (zeros,) * self.num_states

    @abstractmethod
    def forward(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:
        """All hidden states h_BTH, and the state after the last column."""


class KernelCell(Cell):
    """A cell that one of torch's own sequence kernels computes.

    Gate order of the stored weights is torch's: `i, f, g, o` for the LSTM, `r, z, n` for the GRU.
    """

    num_gates: int
    """Blocks of H rows in a weight."""

    def __init__(self, input_size: int, hidden_size: int, kernel: nn.RNNBase) -> None:
        super().__init__(input_size, hidden_size)
        self.kernel = kernel
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot input weights, orthogonal recurrent weights gate by gate, zero biases."""
        with torch.no_grad():
            for block in self.gates("weight_ih_l0"):
                nn.init.xavier_uniform_(block)
            for block in self.gates("weight_hh_l0"):
                nn.init.orthogonal_(block)
            for name in ("bias_ih_l0", "bias_hh_l0"):
                nn.init.zeros_(self.kernel.get_parameter(name))

    def gates(self, name: str) -> tuple[Tensor, ...]:
        """The parts of a kernel's parameter that belong to each gate."""
        return self.kernel.get_parameter(name).chunk(self.num_gates)

    def forward(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:
        h_BTH, h_1BH = self.kernel(x_BTI, state[0].unsqueeze(0))
        return h_BTH, (h_1BH.squeeze(0),)
