"""Each cell as ONNX: the operator that computes it, else its equation in a Scan over time.

Legend: T time, B batch, I input, G rows of all gates, H hidden. ONNX reads time first; its gates are
i, o, f, c in the LSTM and z, r, h in the GRU, its peepholes i, o, f.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from onnx import TensorProto, helper
from torch import Tensor

from shared.nn.cells.base import Cell
from shared.nn.cells.elman import ElmanCell
from shared.nn.cells.gru import GruCell
from shared.nn.cells.jordan import JordanCell
from shared.nn.cells.lstm import LstmCell
from shared.nn.cells.mgu import MguCell
from shared.nn.cells.mingru import MinGruCell
from shared.nn.cells.minlstm import MinLstmCell
from shared.nn.export.graph import Graph, Value, described

States = tuple[Value, ...]
C = TypeVar("C", bound=Cell)
EPSILON = 1e-5  # of torch's layer_norm


def run_cell(graph: Graph, cell: Cell, x_TBI: Value) -> Value:
    """All outputs h_TBH of a cell that begins with zeros."""
    operator = OPERATORS.get(type(cell))
    if operator is not None and not cell.options.layer_norm:
        return operator(graph, cell, x_TBI)
    return _scan(graph, cell, x_TBI)


def _operator(graph: Graph, cell: Cell, x_TBI: Value, kind: str, rows: Any, **more: Any) -> Value:
    """`rows` puts gates in ONNX's order; `more` are attributes."""
    peepholes = more.pop("peepholes", None)
    bias = torch.cat([rows(cell.bias_ih), rows(cell.bias_hh)])
    inputs = [x_TBI, *(_alone(graph, rows(w)) for w in (cell.weight_ih, cell.weight_hh))]
    inputs.append(_alone(graph, bias))
    if peepholes is not None:
        inputs += ["", "", "", _alone(graph, peepholes)]
    h_T1BH = graph.op(kind, *inputs, hidden_size=cell.hidden_size, **more)
    return graph.op("Squeeze", h_T1BH, graph.numbers(1))


def _alone(graph: Graph, tensor: Tensor) -> Value:
    """With the axis of directions, of which there is one."""
    return graph.weight(tensor.unsqueeze(0))


def _elman(graph: Graph, cell: ElmanCell, x_TBI: Value) -> Value:
    activation = cell.spec.activation.capitalize()
    return _operator(graph, cell, x_TBI, "RNN", lambda weight: weight, activations=[activation])


def _lstm(graph: Graph, cell: LstmCell, x_TBI: Value) -> Value:
    coupled = cell.spec.coupled_gates

    def rows(weight: Tensor) -> Tensor:
        if not coupled:
            i, f, g, o = weight.chunk(4)
            return torch.cat([i, o, f, g])
        i, g, o = weight.chunk(3)
        return torch.cat([i, o, torch.zeros_like(i), g])  # f is not read

    peepholes = None
    if cell.spec.peephole:
        i, *f, o = cell.peepholes
        peepholes = torch.cat([i, o, f[0] if f else torch.zeros_like(i)])
    return _operator(
        graph, cell, x_TBI, "LSTM", rows, input_forget=int(coupled), peepholes=peepholes
    )


def _gru(graph: Graph, cell: GruCell, x_TBI: Value) -> Value:
    after = cell.spec.reset_after

    def rows(weight: Tensor) -> Tensor:
        r, z, n = weight.chunk(3)
        return torch.cat([z if after else -z, r, n])  # its z keeps the old state; σ(-z) = 1 - σ(z)

    return _operator(graph, cell, x_TBI, "GRU", rows, linear_before_reset=int(after))


OPERATORS: dict[type[Cell], Callable[[Graph, Any, Value], Value]] = {
    ElmanCell: _elman,
    LstmCell: _lstm,
    GruCell: _gru,
}


class Body:
    """What a step's equation is written with: operators, and the cell's recurrent products."""

    def __init__(self, graph: Graph, cell: Cell) -> None:
        self.graph, self.cell = graph, cell

    def __getattr__(self, kind: str) -> Callable[..., Value]:
        return partial(self.graph.op, kind)

    def chunk(self, x_BG: Value, parts: int) -> list[Value]:
        return self.graph.ops("Split", [x_BG], parts, axis=-1)

    def mixed(self, old: Value, new: Value, share: Value) -> Value:
        """old + share · (new - old)."""
        return str(self.Add(old, self.Mul(share, self.Sub(new, old))))

    def linear(self, x: Value, weight: Tensor, bias: Tensor | None = None) -> Value:
        product = self.graph.op("MatMul", x, self.graph.weight(weight.T))
        return product if bias is None else self.graph.op("Add", product, self.graph.weight(bias))

    def normalised(self, x: Value, gain: Tensor, bias: Tensor | None = None) -> Value:
        weights = [self.graph.weight(w) for w in (gain, bias) if w is not None]
        return self.graph.op("LayerNormalization", x, *weights, axis=-1, epsilon=EPSILON)

    def recur(self, h_BH: Value, product: int = 0) -> Value:
        """What the state adds to the gates of one recurrent product."""
        cell = self.cell
        rows = [gates * cell.hidden_size for gates in cell.products]
        z_BG = self.linear(h_BH, cell.weight_hh.split(rows)[product])
        if cell.options.layer_norm:
            z_BG = self.normalised(z_BG, cell.gain_hh.split(rows)[product])
        if not cell.has_recurrent_bias:
            return z_BG
        return str(self.Add(z_BG, self.graph.weight(cell.bias_hh.split(rows)[product])))


def _step_elman(b: Body, cell: ElmanCell, x_BG: Value, state: States) -> States:
    return (_activated(b, cell.spec.activation, b.Add(x_BG, b.recur(state[0]))),)


def _step_jordan(b: Body, cell: JordanCell, x_BG: Value, state: States) -> States:
    h_BH = _activated(b, cell.spec.activation, b.Add(x_BG, b.recur(state[0])))
    out_BH = b.linear(h_BH, cell.weight_ho, cell.bias_ho)
    return (_activated(b, cell.spec.output_activation, out_BH),)


def _step_lstm(b: Body, cell: LstmCell, x_BG: Value, state: States) -> States:
    h_BH, c_BH = state
    *gates, g_BH, o_BH = b.chunk(b.Add(x_BG, b.recur(h_BH)), cell.num_gates)

    def peeped(z_BH: Value, gate: int, c_BH: Value) -> Value:
        if not cell.spec.peephole:
            return z_BH
        return str(b.Add(z_BH, b.Mul(b.graph.weight(cell.peepholes[gate]), c_BH)))

    early = [b.Sigmoid(peeped(z_BH, gate, c_BH)) for gate, z_BH in enumerate(gates)]
    i_BH = early[0]
    f_BH = b.Sub(b.graph.number(1), i_BH) if cell.spec.coupled_gates else early[1]
    c_BH = b.Add(b.Mul(f_BH, c_BH), b.Mul(i_BH, b.Tanh(g_BH)))
    shown = b.normalised(c_BH, cell.gain_c, cell.bias_c) if cell.options.layer_norm else c_BH
    return b.Mul(b.Sigmoid(peeped(o_BH, -1, c_BH)), b.Tanh(shown)), c_BH


def _step_gru(b: Body, cell: GruCell, x_BG: Value, state: States) -> States:
    [h_BH] = state
    x_r, x_z, x_n = b.chunk(x_BG, 3)
    h_r, h_z = b.chunk(b.recur(h_BH), 2)
    r_BH, z_BH = b.Sigmoid(b.Add(x_r, h_r)), b.Sigmoid(b.Add(x_z, h_z))
    if cell.spec.reset_after:
        n_BH = b.Tanh(b.Add(x_n, b.Mul(r_BH, b.recur(h_BH, product=1))))
        return (b.mixed(n_BH, h_BH, z_BH),)
    n_BH = b.Tanh(b.Add(x_n, b.recur(b.Mul(r_BH, h_BH), product=1)))
    return (b.mixed(h_BH, n_BH, z_BH),)


def _step_mgu(b: Body, cell: MguCell, x_BG: Value, state: States) -> States:
    [h_BH] = state
    x_f, x_n = b.chunk(x_BG, 2)
    f_BH = b.Sigmoid(b.Add(x_f, b.recur(h_BH)))
    n_BH = b.Tanh(b.Add(x_n, b.recur(b.Mul(f_BH, h_BH), product=1)))
    return (b.mixed(h_BH, n_BH, f_BH),)


def _step_mingru(b: Body, cell: MinGruCell, x_BG: Value, state: States) -> States:
    x_z, n_BH = b.chunk(x_BG, 2)
    return (b.mixed(state[0], n_BH, b.Sigmoid(x_z)),)


def _step_minlstm(b: Body, cell: MinLstmCell, x_BG: Value, state: States) -> States:
    x_i, x_f, n_BH = b.chunk(x_BG, 3)
    # i/(f + i) = σ(log i - log f), and log σ(x) = -softplus(-x)
    logs = [b.Softplus(b.Neg(x)) for x in (x_i, x_f)]
    return (b.mixed(state[0], n_BH, b.Sigmoid(b.Sub(logs[1], logs[0]))),)


STEPS: dict[type[Cell], Callable[[Body, Any, Value, States], States]] = {
    ElmanCell: _step_elman,
    JordanCell: _step_jordan,
    LstmCell: _step_lstm,
    GruCell: _step_gru,
    MguCell: _step_mgu,
    MinGruCell: _step_mingru,
    MinLstmCell: _step_minlstm,
}
"""The equation of each cell, as its own file has it."""


def _activated(b: Body, name: str, x: Value) -> Value:
    kinds = {"tanh": "Tanh", "sigmoid": "Sigmoid", "relu": "Relu", "identity": "Identity"}
    return b.graph.op(kinds[name], x)


def _scan(graph: Graph, cell: Cell, x_TBI: Value) -> Value:
    """The cell's equation, step after step, on what the inputs give to all gates at once."""
    share_TBG = _input_share(Body(graph, cell), cell, x_TBI)
    inner = Graph(graph)
    names = [inner.name("state") for _ in range(cell.num_states)]
    x_BG = inner.name("element")
    after = STEPS[type(cell)](Body(inner, cell), cell, x_BG, tuple(names))
    kept = [inner.op("Identity", value) for value in (*after, after[0])]
    body = helper.make_graph(
        inner.nodes,
        "step",
        [described(name, None) for name in (*names, x_BG)],
        [described(name, None) for name in kept],
    )
    zeros = [_zeros(graph, x_TBI, cell.hidden_size)] * cell.num_states
    results = graph.ops(
        "Scan", [*zeros, share_TBG], cell.num_states + 1, body=body, num_scan_inputs=1
    )
    return results[-1]


def _input_share(b: Body, cell: Cell, x_TBI: Value) -> Value:
    if not cell.options.layer_norm:
        return b.linear(x_TBI, cell.weight_ih, cell.bias_ih)
    blocks = cell.products or (1,) * cell.num_gates
    rows = [gates * cell.hidden_size for gates in blocks]
    parts = zip(cell.weight_ih.split(rows), cell.gain_ih.split(rows), strict=True)
    shares = [b.normalised(b.linear(x_TBI, weight), gain) for weight, gain in parts]
    joined = b.Concat(*shares, axis=-1)
    return str(b.Add(joined, b.graph.weight(cell.bias_ih)))


def _zeros(graph: Graph, x_TBI: Value, hidden_size: int) -> Value:
    """The state (B, H) before the first element."""
    size = graph.op("Shape", x_TBI, start=1, end=2)
    shape = graph.op("Concat", size, graph.numbers(hidden_size), axis=0)
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [1], np.zeros(1, np.float32))
    return graph.op("ConstantOfShape", shape, value=zero)
