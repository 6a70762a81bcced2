"""An LSTM of ours in onnxruntime, to compare with; nothing where it is not installed. Makes no file."""

from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.nn.cells.lstm import LstmCell
from shared.nn.network import Network

Array = NDArray[np.float32]
OPSET, IR_VERSION = 17, 8


class OnnxLstm:
    """Stacked forward LSTMs and a linear head over the last step, on one thread."""

    def __init__(self, network: Network) -> None:
        import onnxruntime

        self.cells = [layer.cells[0] for layer in network.stack.layers]  # type: ignore[union-attr, index]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model_of(network, self.cells), options)
        self.zeros = {
            f"{state}{number}": np.zeros((1, 1, cell.hidden_size), np.float32)
            for number, cell in enumerate(self.cells)
            for state in "hc"
        }

    def sequence(self, x_TF: Array) -> list[Any]:
        outputs: list[Any] = self.session.run(None, {"x": x_TF[:, None], **self.zeros})
        return outputs

    def step(self, x_BF: Array) -> list[Any]:
        return self.sequence(x_BF)


def onnx_session(network: Network) -> OnnxLstm | None:
    if find_spec("onnxruntime") is None or find_spec("onnx") is None:
        return None
    return OnnxLstm(network)


def model_of(network: Network, cells: list[LstmCell]) -> bytes:
    """x (T, 1, F) and a state for each layer to the head's (1, K), and the states after."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights, inputs, outputs, below = [], [], ["x"], ["y"], "x"
    for n, cell in enumerate(cells):
        weights += [numpy_helper.from_array(w, f"{k}{n}") for k, w in parts_of(cell).items()]
        given = [below, f"W{n}", f"R{n}", f"B{n}", "", f"h{n}", f"c{n}"]
        made = [f"Y{n}", f"h{n}_after", f"c{n}_after"]
        nodes.append(helper.make_node("LSTM", given, made, hidden_size=cell.hidden_size))
        nodes.append(helper.make_node("Squeeze", [made[0], "axis"], [f"z{n}"]))
        inputs, outputs, below = [*inputs, *given[5:]], [*outputs, *made[1:]], f"z{n}"
    head = {"V": network.head.weight.numpy(), "d": network.head.bias.numpy()}
    weights += [numpy_helper.from_array(w, k) for k, w in head.items()]
    weights.append(numpy_helper.from_array(np.array([1]), "axis"))
    weights.append(numpy_helper.from_array(np.array([0]), "first"))
    nodes.append(helper.make_node("Squeeze", [f"h{len(cells) - 1}_after", "first"], ["last"]))
    nodes.append(helper.make_node("Gemm", ["last", "V", "d"], ["y"], transB=1))
    described = [helper.make_tensor_value_info(k, TensorProto.FLOAT, None) for k in inputs]
    told = [helper.make_tensor_value_info(k, TensorProto.FLOAT, None) for k in outputs]
    graph = helper.make_graph(nodes, "lstm", described, told, weights)
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
    serialized: bytes = model.SerializeToString()
    return serialized


def parts_of(cell: LstmCell) -> dict[str, Array]:
    """Weights in the operator's order of gates: i, o, f, c; ours is i, f, g, o."""

    def reordered(weight: Any) -> Array:
        i, f, g, o = np.split(weight.numpy(), 4)
        return np.concatenate([i, o, f, g])

    bias = np.concatenate([reordered(cell.bias_ih), reordered(cell.bias_hh)])
    own = {"W": reordered(cell.weight_ih), "R": reordered(cell.weight_hh), "B": bias}
    return {name: part[None] for name, part in own.items()}
