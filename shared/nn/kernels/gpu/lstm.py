"""The LSTM with peepholes over a whole sequence in Triton; i, f, g, o, or i, g, o when coupled.

Derivatives are those of shared.nn.kernels.lstm, a step at a time.
"""

from typing import Any

import torch
import triton.language as tl
from torch import Tensor
from torch.autograd import Function

from shared.nn.kernels.gpu.walking import (
    for_products,
    jitted,
    multiply,
    own_rows,
    product,
    sigmoid,
    tanh,
    tile,
    walk,
    weight_gradient,
    with_end,
    with_first,
)
from shared.nn.kernels.whole import (
    applied,
    batch_first,
    by_hand,
    input_share,
    peephole_gradient,
)


@jitted
def _gates(
    z: tl.tensor,
    c: tl.tensor,
    c_next: tl.tensor,
    h_next: tl.tensor,
    p: tl.tensor,
    rows: tl.tensor,
    are_real: tl.tensor,
    H: tl.constexpr,
    GATES: tl.constexpr,
    UNITS: tl.constexpr,
) -> None:
    """The arithmetic of a step; z becomes the gates."""
    for first in tl.range(0, H, UNITS, num_stages=1):
        units, inside, at = tile(first, rows, are_real, H, UNITS)
        i_at = z + rows[:, None] * (GATES * H) + units[None, :]
        g_at, o_at = i_at + (GATES - 2) * H, i_at + (GATES - 1) * H
        before = tl.load(c + at, inside, 0.0)
        i = sigmoid(tl.load(i_at, inside, 0.0) + tl.load(p + units, units < H, 0.0) * before)
        g = tanh(tl.load(g_at, inside, 0.0))
        if GATES == 4:
            f = tl.load(i_at + H, inside, 0.0) + tl.load(p + H + units, units < H, 0.0) * before
            f = sigmoid(f)
            tl.store(i_at + H, f, inside)
            after = f * before + i * g
        else:
            after = before + i * (g - before)
        p_o = tl.load(p + (GATES - 2) * H + units, units < H, 0.0)
        o = sigmoid(tl.load(o_at, inside, 0.0) + p_o * after)
        tl.store(i_at, i, inside)
        tl.store(g_at, g, inside)
        tl.store(o_at, o, inside)
        tl.store(c_next + at, after, inside)
        tl.store(h_next + at, o * tanh(after), inside)


@jitted
def _forward(
    z: tl.tensor,
    h: tl.tensor,
    c: tl.tensor,
    weight: tl.tensor,
    p: tl.tensor,
    T: tl.tensor,
    B: tl.tensor,
    H: tl.constexpr,
    GATES: tl.constexpr,
    UNITS: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    """h and c hold the state before the first step and get the others."""
    G: tl.constexpr = GATES * H
    rows, are_real = own_rows(B)
    for _ in tl.range(0, T, num_stages=1):
        multiply(
            z, z, h, weight, rows, are_real,
            G, H, G, H, H, 1, True, UNITS, PRECISION,
        )  # fmt: skip
        tl.debug_barrier()
        _gates(z, c, c + B * H, h + B * H, p, rows, are_real, H, GATES, UNITS)
        tl.debug_barrier()
        z += B * G
        h += B * H
        c += B * H


@jitted
def _gates_back(
    z: tl.tensor,
    c: tl.tensor,
    c_next: tl.tensor,
    dh: tl.tensor,
    dc: tl.tensor,
    dz: tl.tensor,
    p: tl.tensor,
    rows: tl.tensor,
    are_real: tl.tensor,
    H: tl.constexpr,
    GATES: tl.constexpr,
    UNITS: tl.constexpr,
) -> None:
    """From the derivatives by h and c after a step to those by its gates and by c before it."""
    for first in tl.range(0, H, UNITS, num_stages=1):
        units, inside, at = tile(first, rows, are_real, H, UNITS)
        wide = rows[:, None] * (GATES * H) + units[None, :]
        i = tl.load(z + wide, inside, 0.0)
        g = tl.load(z + (GATES - 2) * H + wide, inside, 0.0)
        o = tl.load(z + (GATES - 1) * H + wide, inside, 0.0)
        before = tl.load(c + at, inside, 0.0)
        shown = tanh(tl.load(c_next + at, inside, 0.0))
        d_h = tl.load(dh + at, inside, 0.0)
        into_o = d_h * shown * o * (1 - o)
        p_o = tl.load(p + (GATES - 2) * H + units, units < H, 0.0)
        d = tl.load(dc + at, inside, 0.0) + d_h * o * (1 - shown * shown) + into_o * p_o
        if GATES == 4:
            f = tl.load(z + H + wide, inside, 0.0)
            into_i = d * g * i * (1 - i)
            into_f = d * before * f * (1 - f)
            d_c = d * f + into_f * tl.load(p + H + units, units < H, 0.0)
            tl.store(dz + H + wide, into_f, inside)
        else:
            into_i = d * (g - before) * i * (1 - i)
            d_c = d * (1 - i)
        d_c += into_i * tl.load(p + units, units < H, 0.0)
        tl.store(dz + wide, into_i, inside)
        tl.store(dz + (GATES - 2) * H + wide, d * i * (1 - g * g), inside)
        tl.store(dz + (GATES - 1) * H + wide, into_o, inside)
        tl.store(dc + at, d_c, inside)


@jitted
def _backward(
    z: tl.tensor,
    c: tl.tensor,
    above: tl.tensor,
    dh: tl.tensor,
    dc: tl.tensor,
    dz: tl.tensor,
    weight: tl.tensor,
    p: tl.tensor,
    T: tl.tensor,
    B: tl.tensor,
    H: tl.constexpr,
    GATES: tl.constexpr,
    UNITS: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    """The last step first; dh is room for one step, dc ends as that of the first state."""
    G: tl.constexpr = GATES * H
    rows, are_real = own_rows(B)
    last = tl.cast(T - 1, tl.int64) * B
    z, dz, c, above = z + last * G, dz + last * G, c + last * H, above + last * H
    for _ in tl.range(0, T, num_stages=1):
        multiply(
            dh, above, dz + B * G, weight, rows, are_real,
            H, G, H, G, 1, H, True, UNITS, PRECISION,
        )  # fmt: skip
        tl.debug_barrier()
        _gates_back(z, c, c + B * H, dh, dc, dz, p, rows, are_real, H, GATES, UNITS)
        tl.debug_barrier()
        z -= B * G
        dz -= B * G
        c -= B * H
        above -= B * H


class WalkedSequence(Function):
    """From z_TBG, h_BH, c_BH, U and p to h_TBH and the last c_BH. Writes on z_TBG."""

    @staticmethod
    def forward(
        ctx: Any, z_TBG: Tensor, h_BH: Tensor, c_BH: Tensor, weight_GH: Tensor, p_PH: Tensor
    ) -> tuple[Tensor, Tensor]:
        (T, B, G), H = z_TBG.shape, h_BH.shape[1]
        weight = for_products(weight_GH)
        h, c, p = with_first(h_BH, T), with_first(c_BH, T), p_PH.contiguous()

        walk(_forward, B, H, z_TBG, h, c, weight, p, T, B, GATES=G // H)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(z_TBG, h, c, weight, p)
        return h[1:], c[-1].clone()

    @staticmethod
    @by_hand
    def backward(
        ctx: Any, dh_TBH: Tensor | None, dc_BH: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        gates, h, c, weight, p = ctx.saved_tensors
        (T, B, G), H = gates.shape, h.shape[2]
        above = torch.zeros_like(h[1:]) if dh_TBH is None else dh_TBH.contiguous()
        dc = torch.zeros_like(h[0]) if dc_BH is None else dc_BH.contiguous().clone()
        dh, dz = torch.empty_like(dc), with_end(gates)

        walk(_backward, B, H, gates, c, above, dh, dc, dz, weight, p, T, B, GATES=G // H)
        dz_TBG = dz[:-1]
        dfirst = product(dz_TBG[0], weight, weight.dtype)
        dweight = weight_gradient(dz_TBG, h[:-1], weight.dtype)
        dp_PH = peephole_gradient(dz_TBG, c[:-1], c[1:]) if ctx.needs_input_grad[4] else None
        return dz_TBG, dfirst, dc, dweight, dp_PH


def run_walked_lstm(
    x_BTI: Tensor, state: tuple[Tensor, ...], weights: tuple[Tensor, Tensor, Tensor, Tensor]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """h_BTH and the last h and c, in float32, from W, U, b and p."""
    weight_ih, weight_hh, bias, p_PH = weights
    z_TBG = input_share(x_BTI, weight_ih, bias)
    h_TBH, c_BH = applied(WalkedSequence, z_TBG, *state, weight_hh, p_PH)
    return batch_first(h_TBH), (h_TBH[-1].clone(), c_BH)
