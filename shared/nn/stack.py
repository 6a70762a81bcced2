"""Depth: each layer reads all that the layer below put out."""

from torch import Tensor, nn

from shared.nn.catalog import layer_inputs
from shared.nn.layer import Layer, LayerState, merge
from shared.nn.spec import NetworkSpec

StackState = tuple[LayerState, ...]
"""One state a layer, the lowest first."""


class Stack(nn.Module):
    def __init__(self, spec: NetworkSpec, input_size: int) -> None:
        super().__init__()
        self.how = spec.merge
        self.layers = nn.ModuleList(Layer(spec, size) for size in layer_inputs(spec, input_size))
        self.dropout = nn.Dropout(spec.dropout)

    def initial_state(self, batch_size: int, like: Tensor) -> StackState:
        return tuple(layer.initial_state(batch_size, like) for layer in self._layers())

    def _layers(self) -> list[Layer]:
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def forward(
        self, x_BTI: Tensor, lengths_B: Tensor, state: StackState
    ) -> tuple[list[Tensor], StackState]:
        """h_BTH of each direction of the top layer, with dropout behind every layer."""
        states, directions = [], [x_BTI]
        for index, layer in enumerate(self.layers):
            below = x_BTI if index == 0 else merge(directions, self.how)
            directions, after = layer(below, lengths_B, state[index])
            directions = [self.dropout(h_BTH) for h_BTH in directions]
            states.append(after)
        return directions, tuple(states)
