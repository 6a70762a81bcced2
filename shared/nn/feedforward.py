"""Depth without time: what one_to_one has in place of recurrent layers.

Legend: B batch, T time (of one step), I input, H hidden.
"""

import itertools

from torch import Tensor, nn

from shared.nn.catalog import layer_inputs
from shared.nn.spec import NetworkSpec
from shared.nn.stack import StackState


class FeedForward(nn.Module):
    """h = tanh(W x + b), as many layers as a recurrent stack would have; it keeps no state."""

    def __init__(self, spec: NetworkSpec, input_size: int) -> None:
        super().__init__()
        sizes = [*layer_inputs(spec, input_size), spec.output_size]
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(sizes))
        self.dropout = nn.Dropout(spec.dropout)

    def initial_state(self, batch_size: int, like: Tensor) -> StackState:
        return ()

    def forward(
        self, x_BTI: Tensor, lengths_B: Tensor, state: StackState
    ) -> tuple[list[Tensor], StackState]:
        """h_BTH of the last layer, as a stack of one direction gives it."""
        for layer in self.layers:
            x_BTI = self.dropout(layer(x_BTI).tanh())
        return [x_BTI], ()
