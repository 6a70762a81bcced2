"""One step of an LSTM or GRU in compiled loops, for one row or a few. Imported where numba is there.

Legend: B rows, K inputs and units side by side (x, then h), H hidden, G rows of all gates. A product
with few rows reads each weight once, row of weights after row: no library does better there.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.nn.kernels.compiled import compiled, sigmoid, tanh

Array = NDArray[Any]


@compiled
def _add_row(z: Any, weight: Any, x: Any) -> None:
    """z += x @ weight for one row, four rows of the weights at a time."""
    size, last = z.shape[0], x.shape[0] - x.shape[0] % 4
    for k in range(0, last, 4):
        a, b, c, d = x[k], x[k + 1], x[k + 2], x[k + 3]
        w_a, w_b, w_c, w_d = weight[k], weight[k + 1], weight[k + 2], weight[k + 3]
        for j in range(size):
            z[j] += (a * w_a[j] + b * w_b[j]) + (c * w_c[j] + d * w_d[j])
    for k in range(last, x.shape[0]):
        a, w_a = x[k], weight[k]
        for j in range(size):
            z[j] += a * w_a[j]


@compiled
def lstm_step(
    x: Any,
    h: Any,
    c: Any,
    for_x: Any,
    for_h: Any,
    bias: Any,
    p: Any,
    z: Any,
    h_out: Any,
    c_out: Any,
) -> None:
    """`for_x` (I, G) and `for_h` (H, G); gates i, f, g, o, or i, g, o; p their peepholes; z is room."""
    size = h.shape[1]
    for b in range(h.shape[0]):
        row, old, new, shown = z[b], c[b], c_out[b], h_out[b]
        row[:] = bias
        _add_row(row, for_x, x[b])
        _add_row(row, for_h, h[b])
        i, o = row[:size], row[row.shape[0] - size :]
        f, g = row[size : 2 * size], row[row.shape[0] - 2 * size : row.shape[0] - size]
        p_i, p_f, p_o = p[0], p[1], p[p.shape[0] - 1]
        if p.shape[0] == 3:
            for j in range(size):
                f_j = sigmoid(f[j] + p_f[j] * old[j])
                new[j] = f_j * old[j] + sigmoid(i[j] + p_i[j] * old[j]) * tanh(g[j])
        else:
            for j in range(size):
                new[j] = old[j] + sigmoid(i[j] + p_i[j] * old[j]) * (tanh(g[j]) - old[j])
        for j in range(size):
            shown[j] = sigmoid(o[j] + p_o[j] * new[j]) * tanh(new[j])


@compiled
def gru_step(
    x: Any, h: Any, for_x: Any, for_h: Any, bias_x: Any, bias_h: Any, z: Any, u: Any, h_out: Any
) -> None:
    """Gates r, z, n, reset after the product; `u` is room for what the state gives to them."""
    size = h.shape[1]
    for b in range(h.shape[0]):
        row, fed, old, out = z[b], u[b], h[b], h_out[b]
        row[:] = bias_x
        fed[:] = bias_h
        _add_row(row, for_x, x[b])
        _add_row(fed, for_h, old)
        for j in range(size):
            r_j = sigmoid(row[j] + fed[j])
            z_j = sigmoid(row[size + j] + fed[size + j])
            n_j = tanh(row[2 * size + j] + r_j * fed[2 * size + j])
            out[j] = n_j + z_j * (old[j] - n_j)


class LstmLoop:
    """The step of one cell: weights as the loop reads them."""

    def __init__(self, weights: dict[str, Array]) -> None:
        size = weights["weight_hh"].shape[1]
        self.for_x, self.for_h = (_columns(weights[name]) for name in ("weight_ih", "weight_hh"))
        self.bias = weights["bias_ih"] + weights["bias_hh"]
        none = np.zeros((len(self.bias) // size - 1, size), self.bias.dtype)
        self.peepholes = weights.get("peepholes", none)

    def __call__(self, x_BI: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        h_BH, c_BH = (np.ascontiguousarray(each) for each in state)
        h_out, c_out = np.empty_like(h_BH), np.empty_like(c_BH)
        z_BG = np.empty((len(h_BH), len(self.bias)), self.bias.dtype)
        lstm_step(
            np.ascontiguousarray(x_BI), h_BH, c_BH, self.for_x, self.for_h, self.bias,
            self.peepholes, z_BG, h_out, c_out,
        )  # fmt: skip
        return h_out, c_out


class GruLoop:
    """The step of one cell that resets after its product."""

    def __init__(self, weights: dict[str, Array]) -> None:
        self.for_x, self.for_h = (_columns(weights[name]) for name in ("weight_ih", "weight_hh"))
        self.bias_x, self.bias_h = weights["bias_ih"], weights["bias_hh"]

    def __call__(self, x_BI: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        h_BH = np.ascontiguousarray(state[0])
        h_out = np.empty_like(h_BH)
        z_BG = np.empty((len(h_BH), len(self.bias_x)), self.bias_x.dtype)
        gru_step(
            np.ascontiguousarray(x_BI), h_BH, self.for_x, self.for_h, self.bias_x, self.bias_h,
            z_BG, np.empty_like(z_BG), h_out,
        )  # fmt: skip
        return (h_out,)


def _columns(weight_GK: Array) -> Array:
    """Weights with all gates of one input side by side."""
    return np.ascontiguousarray(weight_GK.T)


def warm() -> None:
    """Compile the loops, or read them from disk."""
    one = np.zeros((1, 1), np.float32)
    ones: dict[str, Array] = {
        name: np.zeros((4, 1), np.float32) for name in ("weight_ih", "weight_hh")
    }
    ones |= {name: np.zeros(4, np.float32) for name in ("bias_ih", "bias_hh")}
    LstmLoop(ones)(one, (one, one))
    GruLoop({name: each[:3] for name, each in ones.items()})(one, (one,))
