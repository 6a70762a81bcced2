"""LSTM and GRU for one row or a few, in compiled loops: a step, or one sequence. Imported where numba is.

Legend: B rows, T time, I inputs, K inputs or units, H hidden, P parts of the units, U units of a part,
N numbers of a part's gates, gate after gate. A product with few rows reads each weight once, row of
weights after row: no library does better there. A part's weights lie together, for a core of its own.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numba import carray  # type: ignore[attr-defined]
from numpy.typing import NDArray

from shared.nn.kernels.compiled import add_product, compiled, gemm_address, sigmoid, tanh
from shared.nn.kernels.spare import has_second_core
from shared.nn.kernels.together import (
    LINE,
    Second,
    floats_at,
    ints_at,
    new_counts,
    tell,
    wait_for,
    wait_for_order,
)

Array = NDArray[Any]
NUM_PARTS = 2
MIN_PART = 64  # units; of fewer, a step takes no longer than waiting for the other part
MIN_PRODUCTS = 10_000_000
"""Of weights and states, from which a second thread pays. Measured over 100 steps after a pause, as
milliseconds by one and by two: LSTM of 128 units (6.5 million) 0.3 and 0.6, of 256 1.3 and 1.1,
of 512 5.9 and 3.4."""


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
def _lstm(z: Any, p: Any, old: Any, new: Any, shown: Any) -> None:
    """New c and h of some units; gates i, f, g, o, or i, g, o; p their peepholes."""
    size = new.shape[0]
    i, o = z[:size], z[z.shape[0] - size :]
    f, g = z[size : 2 * size], z[z.shape[0] - 2 * size : z.shape[0] - size]
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
    """`for_x` (P, I, N), `for_h` (P, H, N), bias (P, N), peepholes p (P, 2 or 3, U); z (N) is room."""
    size = p.shape[2]
    for b in range(h.shape[0]):
        for part in range(p.shape[0]):
            units = slice(part * size, part * size + size)
            z[:] = bias[part]
            _add_row(z, for_x[part], x[b])
            _add_row(z, for_h[part], h[b])
            _lstm(z, p[part], c[b, units], c_out[b, units], h_out[b, units])


@compiled
def _add_inputs(gemm: int, first: int, last: int, x: Any, for_x: Any, bias: Any, z: Any) -> None:
    """What all steps of x (T, I) give to the gates of parts first to last, into z (P, T, N)."""
    for part in range(first, last):
        for t in range(x.shape[0]):
            z[part, t, :] = bias[part]
        add_product(gemm, False, for_x[part], x, z.dtype.type(1), z[part])


@compiled
def _lstm_walk(
    gemm: int,
    first: int,
    last: int,
    counts: Any,
    x: Any,
    for_x: Any,
    for_h: Any,
    bias: Any,
    p: Any,
    z: Any,
    before: Any,
    c: Any,
    h: Any,
) -> None:
    """Parts first to last of all steps of x (T, I): h (T, H), and c (2, H) of the last two, from c[0] and
    the h before (H); z (P, T, N) is room."""
    size = p.shape[2]
    _add_inputs(gemm, first, last, x, for_x, bias, z)
    for t in range(x.shape[0]):
        wait_for(counts, first, last, t)
        for part in range(first, last):
            units, row = slice(part * size, part * size + size), z[part, t]
            _add_row(row, for_h[part], h[t - 1] if t else before)
            _lstm(row, p[part], c[t % 2, units], c[1 - t % 2, units], h[t, units])
        tell(counts, first, last, t + 1)


@compiled
def _gru(z: Any, fed: Any, old: Any, out: Any) -> None:
    """Gates r, z, n of some units, reset after the product."""
    size = out.shape[0]
    for j in range(size):
        r_j = sigmoid(z[j] + fed[j])
        z_j = sigmoid(z[size + j] + fed[size + j])
        n_j = tanh(z[2 * size + j] + r_j * fed[2 * size + j])
        out[j] = n_j + z_j * (old[j] - n_j)


@compiled
def gru_step(
    x: Any, h: Any, for_x: Any, for_h: Any, bias: Any, bias_h: Any, z: Any, fed: Any, h_out: Any
) -> None:
    """As `lstm_step`; `fed` (N) is room for what the state gives to the gates."""
    size = bias.shape[1] // 3
    for b in range(h.shape[0]):
        for part in range(bias.shape[0]):
            units = slice(part * size, part * size + size)
            z[:] = bias[part]
            fed[:] = bias_h[part]
            _add_row(z, for_x[part], x[b])
            _add_row(fed, for_h[part], h[b])
            _gru(z, fed, h[b, units], h_out[b, units])


@compiled
def _gru_walk(
    gemm: int,
    first: int,
    last: int,
    counts: Any,
    x: Any,
    for_x: Any,
    for_h: Any,
    bias: Any,
    bias_h: Any,
    z: Any,
    fed: Any,
    before: Any,
    h: Any,
) -> None:
    """As `_lstm_walk`; `fed` (P, N) is room."""
    size = bias.shape[1] // 3
    _add_inputs(gemm, first, last, x, for_x, bias, z)
    for t in range(x.shape[0]):
        wait_for(counts, first, last, t)
        old = h[t - 1] if t else before
        for part in range(first, last):
            units = slice(part * size, part * size + size)
            fed[part, :] = bias_h[part]
            _add_row(fed[part], for_h[part], old)
            _gru(z[part, t], fed[part], old[units], h[t, units])
        tell(counts, first, last, t + 1)


@compiled
def _lstm_order(order: Any) -> None:
    """`_lstm_walk` by numbers: see `_walk`."""
    t, i, p, h, n, peepholes = order[4], order[5], order[6], order[7], order[8], order[9]
    a = order[10:]
    _lstm_walk(
        order[1], order[2], order[3], carray(ints_at(a[0]), (p * LINE,)),
        carray(floats_at(a[1]), (t, i)), carray(floats_at(a[2]), (p, i, n)),
        carray(floats_at(a[3]), (p, h, n)), carray(floats_at(a[4]), (p, n)),
        carray(floats_at(a[5]), (p, peepholes, h // p)), carray(floats_at(a[6]), (p, t, n)),
        carray(floats_at(a[7]), (h,)), carray(floats_at(a[8]), (2, h)),
        carray(floats_at(a[9]), (t, h)),
    )  # fmt: skip


@compiled
def _gru_order(order: Any) -> None:
    """`_gru_walk` by numbers: see `_walk`."""
    t, i, p, h, n = order[4], order[5], order[6], order[7], order[8]
    a = order[10:]
    _gru_walk(
        order[1], order[2], order[3], carray(ints_at(a[0]), (p * LINE,)),
        carray(floats_at(a[1]), (t, i)), carray(floats_at(a[2]), (p, i, n)),
        carray(floats_at(a[3]), (p, h, n)), carray(floats_at(a[4]), (p, n)),
        carray(floats_at(a[5]), (p, n)), carray(floats_at(a[6]), (p, t, n)),
        carray(floats_at(a[7]), (p, n)), carray(floats_at(a[8]), (h,)),
        carray(floats_at(a[9]), (t, h)),
    )  # fmt: skip


LSTM, GRU = 0, 1


@compiled
def _serve(semaphore: int, order: Any) -> None:
    while True:
        wait_for_order(semaphore)
        if order[0] == LSTM:
            _lstm_order(order)
        else:
            _gru_order(order)


_second = Second(_serve)


class LstmLoop:
    """One cell: weights as the loops read them."""

    def __init__(self, weights: dict[str, Array]) -> None:
        size = weights["weight_hh"].shape[1]
        self.num_parts = _num_parts(size)
        bias = weights["bias_ih"] + weights["bias_hh"]
        num_gates = len(bias) // size
        self.for_x, self.for_h, self.bias = (
            _by_part(each, num_gates, self.num_parts)
            for each in (weights["weight_ih"], weights["weight_hh"], bias)
        )
        peepholes = weights.get("peepholes", np.zeros((num_gates - 1, size), bias.dtype))
        rows = peepholes.reshape(num_gates - 1, self.num_parts, -1).swapaxes(0, 1)
        self.peepholes = np.ascontiguousarray(rows)

    def __call__(self, x_BI: Array, state: tuple[Array, ...], after: tuple[Array, ...]) -> None:
        """Write the state after one more input; rows of all arrays lie side by side."""
        own = (self.for_x, self.for_h, self.bias, self.peepholes)
        lstm_step(x_BI, *state, *own, np.empty_like(self.bias[0]), *after)  # type: ignore[call-arg]

    def sequence(self, x_TI: Array, state: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        """h_TH of one sequence, and the state (h, c) after it, each (H)."""
        h_H, c_H = state
        h_TH, c_2H = np.empty((len(x_TI), len(h_H)), h_H.dtype), np.stack([c_H, c_H])
        z_PTN = np.empty((self.num_parts, len(x_TI), self.bias.shape[1]), h_H.dtype)
        own = (self.for_x, self.for_h, self.bias, self.peepholes)
        _walk(LSTM, x_TI, own, (z_PTN, h_H, c_2H, h_TH))
        return h_TH, (h_TH[-1], c_2H[len(x_TI) % 2])


class GruLoop:
    """One cell that resets after its product."""

    def __init__(self, weights: dict[str, Array]) -> None:
        self.num_parts = _num_parts(weights["weight_hh"].shape[1])
        self.for_x, self.for_h, self.bias, self.bias_h = (
            _by_part(weights[name], 3, self.num_parts)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )

    def __call__(self, x_BI: Array, state: tuple[Array, ...], after: tuple[Array, ...]) -> None:
        """Write the state after one more input; rows of all arrays lie side by side."""
        z_N, fed_N = np.empty_like(self.bias[0]), np.empty_like(self.bias[0])
        own = (self.for_x, self.for_h, self.bias, self.bias_h)
        gru_step(x_BI, *state, *own, z_N, fed_N, *after)  # type: ignore[call-arg]

    def sequence(self, x_TI: Array, state: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        """h_TH of one sequence, and the state (h,) after it, (H)."""
        (h_H,) = state
        h_TH = np.empty((len(x_TI), len(h_H)), h_H.dtype)
        z_PTN = np.empty((self.num_parts, len(x_TI), self.bias.shape[1]), h_H.dtype)
        own = (self.for_x, self.for_h, self.bias, self.bias_h)
        _walk(GRU, x_TI, own, (z_PTN, np.empty_like(self.bias), h_H, h_TH))
        return h_TH, (h_TH[-1],)


WALKS: tuple[Callable[..., None], ...] = (_lstm_walk, _gru_walk)


def _walk(kind: int, x_TI: Array, own: tuple[Array, ...], rooms: tuple[Array, ...]) -> None:
    """All parts of a sequence: half of them by the second thread, where a core is to spare and it pays."""
    for_h_PHN, walk = own[1], WALKS[kind]
    num_parts, num_steps = len(for_h_PHN), len(x_TI)
    counts, gemm = new_counts(num_parts), gemm_address(_TYPES[x_TI.dtype.char])
    arrays = (counts, x_TI, *own, *rooms)
    pays = num_parts > 1 and num_steps * for_h_PHN.size >= MIN_PRODUCTS
    if not (pays and has_second_core() and x_TI.dtype == np.float32):
        walk(gemm, 0, num_parts, *arrays)
        return
    half, last = num_parts // 2, own[-1]
    sizes = (num_steps, x_TI.shape[1], *for_h_PHN.shape, last.shape[1])
    order = (kind, gemm, half, num_parts, *sizes, *(array.ctypes.data for array in arrays))
    with _second.at_work(order, counts, num_steps) as is_at_work:
        walk(gemm, 0, half if is_at_work else num_parts, *arrays)


_TYPES = {"f": torch.float32, "d": torch.float64}


def _num_parts(num_units: int) -> int:
    return NUM_PARTS if num_units % NUM_PARTS == 0 and num_units >= NUM_PARTS * MIN_PART else 1


def _by_part(weight: Array, num_gates: int, num_parts: int) -> Array:
    """(gates * H, K) as (P, K, N), or (gates * H) as (P, N), in memory of its own."""
    parts = weight.reshape(num_gates, num_parts, -1, *weight.shape[1:]).swapaxes(0, 1)
    rows = parts.reshape(num_parts, -1, *weight.shape[1:])
    return np.ascontiguousarray(rows.swapaxes(1, -1)) if weight.ndim == 2 else rows.copy()


def warm() -> None:
    """Compile the loops, or read them from disk."""
    one = np.zeros((1, 1), np.float32)
    ones: dict[str, Array] = {
        name: np.zeros((4, 1), np.float32) for name in ("weight_ih", "weight_hh")
    }
    ones |= {name: np.zeros(4, np.float32) for name in ("bias_ih", "bias_hh")}
    for loop, state in (
        (LstmLoop(ones), (one, one)),
        (GruLoop({name: each[:3] for name, each in ones.items()}), (one,)),
    ):
        loop(one, state, tuple(each.copy() for each in state))
        loop.sequence(one, tuple(each[0] for each in state))
    _second.warm()
