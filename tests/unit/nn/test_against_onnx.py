"""Our cells against onnxruntime's operators, an implementation that nobody here wrote.

ONNX orders gates i, o, f, c for the LSTM and z, r, h for the GRU, and peepholes i, o, f.
"""

from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor

from shared.nn.layer import last_outputs
from shared.nn.network import real_steps
from tests.unit.nn.builders import make_input, make_stack

H, I = 4, 5  # noqa: E741 - the sizes of the legend
OPERATORS = {"elman": "RNN", "lstm": "LSTM", "gru": "GRU"}
CASES: list[dict[str, Any]] = [
    {"type": "elman"},
    {"type": "elman", "activation": "relu"},
    {"type": "elman", "activation": "sigmoid"},
    {"type": "lstm"},
    {"type": "lstm", "peephole": True},
    {"type": "lstm", "coupled_gates": True},
    {"type": "lstm", "peephole": True, "coupled_gates": True},
    {"type": "gru", "reset_after": True},
    {"type": "gru", "reset_after": False},
]
ATTRIBUTES: dict[str, Any] = {
    "elman": lambda cell: {"activations": [cell.get("activation", "tanh").capitalize()]},
    "lstm": lambda cell: {"input_forget": int(cell.get("coupled_gates", False))},
    "gru": lambda cell: {"linear_before_reset": int(cell["reset_after"])},
}


def elman_rows(weight: Tensor, cell: dict[str, Any]) -> Tensor:
    return weight


def lstm_rows(weight: Tensor, cell: dict[str, Any]) -> Tensor:
    """i, o, f, c; what stands for f when gates are coupled is not read."""
    if cell.get("coupled_gates"):
        i, g, o = weight.split(H)
        return torch.cat([i, o, torch.full_like(i, 7.0), g])
    i, f, g, o = weight.split(H)
    return torch.cat([i, o, f, g])


def gru_rows(weight: Tensor, cell: dict[str, Any]) -> Tensor:
    """z, r, h; ONNX's z keeps the old state in both forms, and σ(-z) = 1 - σ(z)."""
    r, z, n = weight.split(H)
    return torch.cat([z if cell["reset_after"] else -z, r, n])


ROWS = {"elman": elman_rows, "lstm": lstm_rows, "gru": gru_rows}


def peephole_rows(peepholes: Tensor, cell: dict[str, Any]) -> Tensor:
    i, *f, o = peepholes
    return torch.cat([i, o, f[0] if f else torch.full_like(i, 7.0)])


def tensors_of(stack: Any, cell: dict[str, Any]) -> dict[str, np.ndarray]:
    """W, R, B and P as ONNX wants them, one row of each for a direction."""
    rows = ROWS[cell["type"]]
    found: dict[str, list[Tensor]] = {"W": [], "R": [], "B": [], "P": []}
    for one in stack.layers[0].cells:
        found["W"].append(rows(one.weight_ih, cell))
        found["R"].append(rows(one.weight_hh, cell))
        found["B"].append(torch.cat([rows(one.bias_ih, cell), rows(one.bias_hh, cell)]))
        if cell.get("peephole"):
            found["P"].append(peephole_rows(one.peepholes, cell))
    return {name: torch.stack(each).detach().numpy() for name, each in found.items() if each}


def run_onnx(cell: dict[str, Any], both: bool, feeds: dict[str, np.ndarray]) -> Any:
    names = ["X", "W", "R", "B", "sequence_lens", "initial_h"]
    names += ["initial_c", "P"] if cell["type"] == "lstm" else []
    outputs = ["Y", "Y_h"] + (["Y_c"] if cell["type"] == "lstm" else [])
    node = helper.make_node(
        OPERATORS[cell["type"]],
        [name if name in feeds else "" for name in names],
        outputs,
        hidden_size=H,
        direction="bidirectional" if both else "forward",
        **_attributes(cell, both),
    )
    types = {"sequence_lens": TensorProto.INT32}
    graph = helper.make_graph(
        [node],
        "cell",
        [
            helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT), value.shape)
            for name, value in feeds.items()
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(outputs, feeds)


def _attributes(cell: dict[str, Any], both: bool) -> dict[str, Any]:
    attributes = ATTRIBUTES[cell["type"]](cell)
    if "activations" in attributes:
        attributes["activations"] *= 1 + both
    return attributes


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("cell", CASES, ids=str)
def test_outputs_and_last_states_equal_the_operator(cell: dict[str, Any], both: bool) -> None:
    stack = make_stack(cell, bidirectional=both).float()
    x_BTI, lengths_B = make_input(7, 2, 5, 1)
    x_BTI = x_BTI.float()
    state = tuple(
        tuple(torch.rand_like(h) for h in one) for one in stack.initial_state(4, x_BTI)[0]
    )
    starts = dict(zip(("initial_h", "initial_c"), zip(*state, strict=True), strict=False))
    feeds = {
        "X": x_BTI.transpose(0, 1).contiguous().numpy(),
        "sequence_lens": lengths_B.int().numpy(),
        **{name: torch.stack(each).numpy() for name, each in starts.items()},
        **tensors_of(stack, cell),
    }

    with torch.no_grad():
        directions, _ = stack(x_BTI, lengths_B, (state,))
    theirs = run_onnx(cell, both, feeds)

    ours_TDBH = torch.stack(directions, 1).permute(2, 1, 0, 3)
    real_T1B1 = real_steps(lengths_B, 7).T[:, None, :, None]
    ours_TDBH = torch.where(real_T1B1, ours_TDBH, 0)
    torch.testing.assert_close(ours_TDBH, torch.from_numpy(theirs[0]), atol=1e-5, rtol=0)
    last_DBH = torch.stack(last_outputs(directions, lengths_B))
    torch.testing.assert_close(last_DBH, torch.from_numpy(theirs[1]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("cell", [case for case in CASES if case["type"] == "lstm"], ids=str)
def test_the_last_cell_state_equals_the_operator(cell: dict[str, Any]) -> None:
    stack = make_stack(cell).float()
    x_BTI = make_input(6, 6)[0].float()
    feeds = {"X": x_BTI.transpose(0, 1).contiguous().numpy(), **tensors_of(stack, cell)}

    _, state = stack(x_BTI, torch.tensor([6, 6]), stack.initial_state(2, x_BTI))
    theirs = run_onnx(cell, False, feeds)

    torch.testing.assert_close(
        state[0][0][1].detach(), torch.from_numpy(theirs[2][0]), atol=1e-5, rtol=0
    )
