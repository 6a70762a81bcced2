"""A whole network as an ONNX model: raw inputs in, activated outputs out. Knows no data and no files.

Legend: B batch, T time, F features, D width of a layer's output, K outputs. The graph is laid out
time first, as ONNX's recurrent operators are; its inputs and outputs are batch first.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto
from torch import nn

from shared.nn.cells.base import Cell
from shared.nn.export.cells import run_cell
from shared.nn.export.graph import Graph, Value, described
from shared.nn.feedforward import FeedForward
from shared.nn.layer import Layer
from shared.nn.network import Network
from shared.nn.readout import AttentionPool, MaxPool, MeanPool
from shared.nn.spec import Mapping, Merge

INPUT, LENGTHS = "input", "lengths"
NAMES = {"categorical": "probabilities", "binary": "probabilities", "real": "values"}
"""What the output is called, by its kind."""
Scale = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and deviation of each number, in the data's own units."""


@dataclass(frozen=True, slots=True)
class Units:
    """What surrounds a network's own numbers."""

    output_kind: str
    """categorical, binary or real."""
    input_scale: Scale | None = None
    """Brings inputs to mean 0 and deviation 1; None for symbols."""
    output_scale: Scale | None = None
    """Brings outputs back."""


def export(network: Network, units: Units, metadata: dict[str, str]) -> onnx.ModelProto:
    """`input` (B, T, F) or symbol ids (B, T), `lengths` (B) to `probabilities` or `values`.

    Without time the input is (B, F) or (B), and there are no lengths. Outputs are (B, K), or
    (B, T, K) where there is one a step; those of padding mean nothing.
    """
    graph = Graph()
    has_time = network.shape.mapping is not Mapping.ONE_TO_ONE
    x = _read(graph, network, units)
    output = _Layers(graph, network).run(x) if has_time else _dense(graph, network, x)
    output = _activated(graph, _linear(graph, output, network.head), units)
    name = NAMES[units.output_kind]
    if network.shape.mapping is Mapping.MANY_TO_MANY:
        output = graph.op("Transpose", output, perm=[1, 0, 2])
    graph.nodes.append(onnx.helper.make_node("Identity", [output], [name]))
    return graph.model(_inputs(network), [_output(network, name)], metadata)


def _inputs(network: Network) -> list[onnx.ValueInfoProto]:
    shape = network.shape
    has_time = shape.mapping is not Mapping.ONE_TO_ONE
    axes: list[int | str] = ["batch", "time"] if has_time else ["batch"]
    is_numeric = shape.input_kind == "numeric"
    kind = TensorProto.FLOAT if is_numeric else TensorProto.INT64
    x = described(INPUT, [*axes, shape.input_size] if is_numeric else axes, kind)
    return [x, described(LENGTHS, ["batch"], TensorProto.INT64)] if has_time else [x]


def _output(network: Network, name: str) -> onnx.ValueInfoProto:
    is_per_step = network.shape.mapping is Mapping.MANY_TO_MANY
    axes: list[int | str] = ["batch", "time"] if is_per_step else ["batch"]
    return described(name, [*axes, network.shape.output_size])


def _read(graph: Graph, network: Network, units: Units) -> Value:
    """Batch first still: what the first layer reads."""
    if isinstance(network.embedding, nn.Embedding):
        return graph.op("Gather", graph.weight(network.embedding.weight), INPUT)
    if units.input_scale is None:
        return INPUT
    mean, std = map(_row, units.input_scale)
    centred = graph.op("Sub", INPUT, graph.constant(mean))
    return graph.op("Div", centred, graph.constant(std))


def _row(values: tuple[float, ...]) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def _activated(graph: Graph, output: Value, units: Units) -> Value:
    if units.output_kind == "categorical":
        return graph.op("Softmax", output, axis=-1)
    if units.output_kind == "binary":
        return graph.op("Sigmoid", output)
    if units.output_scale is None:
        return output
    mean, std = map(_row, units.output_scale)
    spread = graph.op("Mul", output, graph.constant(std))
    return graph.op("Add", spread, graph.constant(mean))


def _dense(graph: Graph, network: Network, x: Value) -> Value:
    assert isinstance(network.stack, FeedForward)
    for layer in network.stack.layers:
        assert isinstance(layer, nn.Linear)
        x = graph.op("Tanh", _linear(graph, x, layer))
    return x


def _linear(graph: Graph, x: Value, layer: nn.Linear) -> Value:
    product = graph.op("MatMul", x, graph.weight(layer.weight.T))
    return product if layer.bias is None else graph.op("Add", product, graph.weight(layer.bias))


class _Layers:
    """A stack in one or two directions and what reads it, in one graph."""

    def __init__(self, graph: Graph, network: Network) -> None:
        self.graph, self.network = graph, network

    def run(self, x_BTI: Value) -> Value:
        """Batch first in; out (B, D), or (T, B, D) where there is one output a step."""
        spec = self.network.spec
        x_TBI = self.graph.op("Transpose", x_BTI, perm=[1, 0, 2])
        below: list[Value] = []
        for layer in self.network.stack.layers:
            assert isinstance(layer, Layer)
            merged = self.merged(below) if below else x_TBI
            directions = self.layer(layer, merged)
            if spec.residual and below:
                pairs = zip(directions, below, strict=True)
                directions = [self.graph.op("Add", h, under) for h, under in pairs]
            below = directions
        if self.network.shape.mapping is Mapping.MANY_TO_MANY:
            return self.merged(below)
        return self.pooled(below)

    def layer(self, layer: Layer, x_TBI: Value) -> list[Value]:
        forward, *backward = (cell for cell in layer.cells if isinstance(cell, Cell))
        h_TBH = run_cell(self.graph, forward, x_TBI)
        turned = [self.turned(run_cell(self.graph, cell, self.turned(x_TBI))) for cell in backward]
        return [h_TBH, *turned]

    def turned(self, x_TBD: Value) -> Value:
        """Each row around within its own length."""
        return self.graph.op("ReverseSequence", x_TBD, LENGTHS, time_axis=0, batch_axis=1)

    def merged(self, directions: list[Value]) -> Value:
        if len(directions) == 1:
            return directions[0]
        how = self.network.spec.merge
        if how is Merge.CONCAT:
            return self.graph.op("Concat", *directions, axis=-1)
        if how is Merge.MUL:
            return self.graph.op("Mul", *directions)
        total = self.graph.op("Add", *directions)
        return self.graph.op("Mul", total, self.graph.number(0.5)) if how is Merge.MEAN else total

    def pooled(self, directions: list[Value]) -> Value:
        """One vector (B, D) for a whole sequence."""
        pool = self.network.pool
        if pool is None:
            forward, *backward = directions
            ends = [self.first(self.turned(forward)), *map(self.first, backward)]
            return self.merged(ends)
        h_TBD, real_TB1 = self.merged(directions), self.real_steps(directions[0])
        if isinstance(pool, MaxPool):
            return self.largest(h_TBD, real_TB1)
        if isinstance(pool, MeanPool):
            weight_TB1 = self.graph.op("Cast", real_TB1, to=TensorProto.FLOAT)
            count_B1 = self.over_time(weight_TB1)
            return self.graph.op("Div", self.weighted(h_TBD, weight_TB1), count_B1)
        assert isinstance(pool, AttentionPool)
        return self.weighted(h_TBD, self.attention(pool, h_TBD, real_TB1))

    def first(self, x_TBD: Value) -> Value:
        return self.graph.op("Gather", x_TBD, self.graph.constant(np.array(0)), axis=0)

    def real_steps(self, h_TBH: Value) -> Value:
        """Mask (T, B, 1): which steps are real."""
        num_steps = self.graph.op("Squeeze", self.graph.op("Shape", h_TBH, start=0, end=1))
        ends = (self.graph.constant(np.array(0)), num_steps, self.graph.constant(np.array(1)))
        t_T = self.graph.op("Range", *ends)
        t_T1 = self.graph.op("Unsqueeze", t_T, self.graph.numbers(1))
        real_TB = self.graph.op("Less", t_T1, LENGTHS)
        return self.graph.op("Unsqueeze", real_TB, self.graph.numbers(2))

    def masked(self, x: Value, real_TB1: Value) -> Value:
        return self.graph.op("Where", real_TB1, x, self.graph.number(-np.inf))

    def largest(self, h_TBD: Value, real_TB1: Value) -> Value:
        return self.graph.op("ReduceMax", self.masked(h_TBD, real_TB1), axes=[0], keepdims=0)

    def attention(self, pool: AttentionPool, h_TBD: Value, real_TB1: Value) -> Value:
        hidden = self.graph.op("Tanh", _linear(self.graph, h_TBD, pool.hidden))
        score_TB1 = _linear(self.graph, hidden, pool.score)
        return self.graph.op("Softmax", self.masked(score_TB1, real_TB1), axis=0)

    def weighted(self, h_TBD: Value, weight_TB1: Value) -> Value:
        return self.over_time(self.graph.op("Mul", h_TBD, weight_TB1))

    def over_time(self, x: Value) -> Value:
        return self.graph.op("ReduceSum", x, self.graph.numbers(0), keepdims=0)
