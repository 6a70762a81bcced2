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
        self.how, self.residual = spec.merge, spec.residual
        widths = zip(layer_inputs(spec, input_size), spec.layer_sizes, strict=True)
        self.layers = nn.ModuleList(Layer(spec, below, units) for below, units in widths)
        self.dropout = nn.Dropout(spec.dropout)

    def initial_state(self, batch_size: int, like: Tensor) -> StackState:
        return tuple(layer.initial_state(batch_size, like) for layer in self._layers())

    def _layers(self) -> list[Layer]:
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def forward(
        self, x_BTI: Tensor, lengths_B: Tensor, state: StackState
    ) -> tuple[list[Tensor], StackState]:
        """h_BTH of each direction of the top layer, with dropout behind every layer.

        A residual connection adds direction to direction, which is the same as adding a layer's
        input to its output for every merge but the product (a spec refuses that).
        """
        states: list[LayerState] = []
        below: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            merged = merge(below, self.how) if below else x_BTI
            directions, after = layer(merged, lengths_B, state[index])
            directions = [self.dropout(h_BTH) for h_BTH in directions]
            if self.residual and below:
                directions = [h + under for h, under in zip(directions, below, strict=True)]
            below = directions
            states.append(after)
        return below, tuple(states)
