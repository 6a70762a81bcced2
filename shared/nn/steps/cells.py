"""One step of every cell on numpy arrays, for batches too small to pay for torch; knows no depth.

Legend: B rows, I input, H hidden, G rows of all gates. Equations, gate orders and names are those of
shared.nn.cells; tests hold each to its cell's whole-sequence path.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from shared.nn.cells.base import Cell, Loop
from shared.nn.kernels.limits import has_compiler
from shared.nn.spec import (
    ElmanSpec,
    GruSpec,
    JordanSpec,
    LstmSpec,
    MguSpec,
    MinGruSpec,
    MinLstmSpec,
    Spec,
)

Array = NDArray[Any]
State = tuple[Array, ...]
"""What a step hands to the next, each array (B, H), the output first: (h,) or (h, c)."""
EPSILON = 1e-5  # of torch's layer normalisation
MAX_LOOP_ROWS = 4  # up to which compiled loops beat the products of numpy


def sigmoid(x: Array) -> Array:
    return 0.5 * np.tanh(0.5 * x) + 0.5


def log_sigmoid(x: Array) -> Array:
    result: Array = np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))
    return result


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "relu": lambda x: np.maximum(x, 0),
    "identity": lambda x: x,
}


def normalised(z_BG: Array, gain_G: Array) -> Array:
    """Zero mean and unit variance over the last axis, times a learnt gain."""
    centred_BG = z_BG - z_BG.mean(-1, keepdims=True)
    variance_B1 = (centred_BG * centred_BG).mean(-1, keepdims=True)
    result: Array = centred_BG / np.sqrt(variance_B1 + EPSILON) * gain_G
    return result


class CellStep:
    """A cell's weights for single steps, partly in memory of their own: they must not change any more."""

    def __init__(self, cell: Cell) -> None:
        self.spec = cast(Any, cell.spec)  # each cell's equation knows its own
        self.num_gates, self.hidden_size = cell.num_gates, cell.hidden_size
        self.num_states, self.products = cell.num_states, cell.products
        self.layer_norm = cell.options.layer_norm
        self.weights = weights_of(cell)
        ends = np.cumsum([gates * self.hidden_size for gates in self.products])
        self.rows = [
            slice(end - g * self.hidden_size, end)
            for end, g in zip(ends, self.products, strict=True)
        ]
        self.equation = EQUATIONS[type(self.spec)]
        self.loop = cell.loop or loop_of(cell)

    def __call__(self, x_BI: Array, state: State, after: State) -> None:
        """Write the state after one more input."""
        if self.loop is not None and len(x_BI) == 1:
            self.loop(x_BI, state, after)
        elif self.loop is not None and len(x_BI) <= MAX_LOOP_ROWS:
            rows = tuple(map(np.ascontiguousarray, state))
            room = tuple(map(np.empty_like, rows))
            self.loop(np.ascontiguousarray(x_BI), rows, room)
            _copy(room, after)
        else:
            _copy(self.equation(self, self.input_share(x_BI), state), after)

    def input_share(self, x_BI: Array) -> Array:
        """What the input gives to each gate (B, G)."""
        x_BG: Array = x_BI @ self.weights["weight_ih"].T
        if self.layer_norm:
            gain_G = self.weights["gain_ih"]
            blocks = self.rows or self._gate_rows()
            x_BG = np.concatenate([normalised(x_BG[:, b], gain_G[b]) for b in blocks], -1)
        return x_BG + self.weights["bias_ih"]

    def _gate_rows(self) -> list[slice]:
        size = self.hidden_size
        return [slice(gate * size, (gate + 1) * size) for gate in range(self.num_gates)]

    def recur(self, h_BH: Array, product: int = 0) -> Array:
        """What the state adds to the gates of one recurrent product."""
        rows = self.rows[product]
        z_BG: Array = h_BH @ self.weights["weight_hh"][rows].T
        if self.layer_norm:
            z_BG = normalised(z_BG, self.weights["gain_hh"][rows])
        return z_BG + self.weights["bias_hh"][rows] if "bias_hh" in self.weights else z_BG

    def gates(self, z_BG: Array) -> list[Array]:
        """A block (B, H) for each gate in `z_BG`."""
        size = self.hidden_size
        return [z_BG[:, start : start + size] for start in range(0, z_BG.shape[1], size)]


def _copy(state: State, after: State) -> None:
    for from_BH, to_BH in zip(state, after, strict=True):
        to_BH[:] = from_BH


def lay_out(network: nn.Module) -> None:
    """Let a network read sequences that come alone in compiled loops; its weights must not change any
    more, and take as much memory again."""
    for cell in network.modules():
        if isinstance(cell, Cell) and cell.loop is None:
            cell.loop = loop_of(cell)


def loop_of(cell: Cell) -> Loop | None:
    """What reads a few rows, or one sequence, the fastest, where numba is there and knows the cell."""
    spec, weights = cast(Any, cell.spec), weights_of(cell)
    if cell.options.layer_norm or not has_compiler():
        return None
    from shared.nn.kernels.steps_compiled import GruLoop, LstmLoop  # numba takes a second

    if isinstance(spec, LstmSpec):
        return LstmLoop(weights)
    return GruLoop(weights) if isinstance(spec, GruSpec) and spec.reset_after else None


def weights_of(cell: Cell) -> dict[str, Array]:
    return {name: parameter.detach().numpy() for name, parameter in cell.named_parameters()}


def _elman(cell: CellStep, x_BG: Array, state: State) -> State:
    return (ACTIVATIONS[cell.spec.activation](x_BG + cell.recur(state[0])),)


def _jordan(cell: CellStep, x_BG: Array, state: State) -> State:
    h_BH = ACTIVATIONS[cell.spec.activation](x_BG + cell.recur(state[0]))
    y_BH = h_BH @ cell.weights["weight_ho"].T + cell.weights["bias_ho"]
    return (ACTIVATIONS[cell.spec.output_activation](y_BH),)


def _lstm(cell: CellStep, x_BG: Array, state: State) -> State:
    h_BH, c_BH = state
    *early, g_BH, o_BH = cell.gates(x_BG + cell.recur(h_BH))
    peepholes = cell.weights.get("peepholes")
    if peepholes is not None:
        early = [z_BH + peepholes[gate] * c_BH for gate, z_BH in enumerate(early)]
    i_BH = sigmoid(early[0])
    f_BH = 1 - i_BH if cell.spec.coupled_gates else sigmoid(early[1])
    c_BH = f_BH * c_BH + i_BH * np.tanh(g_BH)
    o_BH = sigmoid(o_BH if peepholes is None else o_BH + peepholes[-1] * c_BH)
    shown_BH = c_BH
    if cell.layer_norm:
        shown_BH = normalised(c_BH, cell.weights["gain_c"]) + cell.weights["bias_c"]
    return o_BH * np.tanh(shown_BH), c_BH


def _gru(cell: CellStep, x_BG: Array, state: State) -> State:
    (h_BH,) = state
    x_r, x_z, x_n = cell.gates(x_BG)
    h_r, h_z = cell.gates(cell.recur(h_BH))
    r_BH, z_BH = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    if cell.spec.reset_after:
        n_BH = np.tanh(x_n + r_BH * cell.recur(h_BH, product=1))
        return ((1 - z_BH) * n_BH + z_BH * h_BH,)
    n_BH = np.tanh(x_n + cell.recur(r_BH * h_BH, product=1))
    return (z_BH * n_BH + (1 - z_BH) * h_BH,)


def _mgu(cell: CellStep, x_BG: Array, state: State) -> State:
    (h_BH,) = state
    x_f, x_n = cell.gates(x_BG)
    f_BH = sigmoid(x_f + cell.recur(h_BH))
    n_BH = np.tanh(x_n + cell.recur(f_BH * h_BH, product=1))
    return ((1 - f_BH) * h_BH + f_BH * n_BH,)


def _mingru(cell: CellStep, x_BG: Array, state: State) -> State:
    (h_BH,) = state
    x_z, n_BH = cell.gates(x_BG)
    return (h_BH + sigmoid(x_z) * (n_BH - h_BH),)


def _minlstm(cell: CellStep, x_BG: Array, state: State) -> State:
    (h_BH,) = state
    x_i, x_f, n_BH = cell.gates(x_BG)
    weight_BH = sigmoid(log_sigmoid(x_i) - log_sigmoid(x_f))
    return (h_BH + weight_BH * (n_BH - h_BH),)


EQUATIONS: dict[type[Spec], Callable[[CellStep, Array, State], State]] = {
    ElmanSpec: _elman,
    JordanSpec: _jordan,
    LstmSpec: _lstm,
    GruSpec: _gru,
    MguSpec: _mgu,
    MinGruSpec: _mingru,
    MinLstmSpec: _minlstm,
}
