"""An ONNX graph as it grows: names, weights, operators. Knows no cell and no network."""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

OPSET, IR_VERSION = 17, 8  # the first set with LayerNormalization; runtimes of 2022 read both
Value = str
"""The name of a tensor in a graph."""


class Graph:
    """Operators in the order in which they run. A body sees all values of the graph around it."""

    def __init__(self, around: "Graph | None" = None) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._names: Iterator[int] = around._names if around else count()
        self.weights: list[onnx.TensorProto] = around.weights if around else []
        self._known: dict[tuple[str, bytes], Value] = around._known if around else {}

    def op(self, kind: str, *inputs: Value, **attributes: Any) -> Value:
        """The one output of an operator; an empty name leaves an optional input out."""
        [value] = self.ops(kind, inputs, 1, **attributes)
        return value

    def ops(
        self, kind: str, inputs: Sequence[Value], num_outputs: int, **attributes: Any
    ) -> list[Value]:
        outputs = [self.name(kind) for _ in range(num_outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, **attributes))
        return outputs

    def name(self, kind: str) -> Value:
        return f"{kind.lower()}_{next(self._names)}"

    def weight(self, tensor: Tensor) -> Value:
        """A tensor that travels with the graph, in 32 bits."""
        return self.constant(tensor.detach().float().cpu().numpy())

    def numbers(self, *values: int) -> Value:
        """A vector of whole numbers, for axes and shapes."""
        return self.constant(np.array(values, dtype=np.int64))

    def number(self, value: float) -> Value:
        return self.constant(np.array(value, dtype=np.float32))

    def constant(self, array: NDArray[Any]) -> Value:
        """The same small array is stored once."""
        key = (f"{array.dtype} {array.shape}", array.tobytes() if array.size < SMALL else b"")
        if array.size < SMALL and key in self._known:
            return self._known[key]
        name = self.name("weight")
        self.weights.append(numpy_helper.from_array(np.array(array, order="C"), name))
        self._known[key] = name
        return name

    def model(
        self,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
        metadata: dict[str, str],
    ) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "network", inputs, outputs, self.weights)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="unroll"
        )
        helper.set_model_props(model, metadata)
        return model


SMALL = 16


def described(
    name: Value, shape: Sequence[int | str] | None, kind: int = TensorProto.FLOAT
) -> onnx.ValueInfoProto:
    """An input or output; a word in its shape is a free axis."""
    return helper.make_tensor_value_info(name, kind, shape)
