"""The LSTM family over a whole sequence in compiled loops: one pass of arithmetic a step.

z_BG becomes the gates i, f, g, o (i, g, o when coupled); p_PH are the peepholes of i, f, o, zero
where a cell has none. Derivatives are those of shared.nn.kernels.lstm, a step at a time.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from shared.nn.kernels.compiled import (
    add_product,
    add_rows,
    array,
    compiled,
    gemm_address,
    keep_rows,
    over_rows,
    sigmoid,
    tanh,
)
from shared.nn.kernels.whole import (
    applied,
    batch_first,
    before,
    by_hand,
    input_share,
    no_mask,
    peephole_gradient,
    recurrent_gradient,
)


@compiled
def _step(z: Any, c_before: Any, p: Any, c: Any, h: Any) -> None:
    size = c.shape[1]
    p_i, p_f, p_o = p[0], p[1], p[2]
    for b in range(c.shape[0]):
        row, old, new, shown = z[b], c_before[b], c[b], h[b]
        i, f, g, o = row[:size], row[size : 2 * size], row[2 * size : 3 * size], row[3 * size :]
        for j in range(size):
            i_j = sigmoid(i[j] + p_i[j] * old[j])
            f_j = sigmoid(f[j] + p_f[j] * old[j])
            g_j = tanh(g[j])
            c_j = f_j * old[j] + i_j * g_j
            o_j = sigmoid(o[j] + p_o[j] * c_j)
            i[j], f[j], g[j], o[j], new[j], shown[j] = i_j, f_j, g_j, o_j, c_j, o_j * tanh(c_j)


@compiled
def _step_coupled(z: Any, c_before: Any, p: Any, c: Any, h: Any) -> None:
    size = c.shape[1]
    p_i, p_o = p[0], p[1]
    for b in range(c.shape[0]):
        row, old, new, shown = z[b], c_before[b], c[b], h[b]
        i, g, o = row[:size], row[size : 2 * size], row[2 * size :]
        for j in range(size):
            i_j = sigmoid(i[j] + p_i[j] * old[j])
            g_j = tanh(g[j])
            c_j = old[j] + i_j * (g_j - old[j])
            o_j = sigmoid(o[j] + p_o[j] * c_j)
            i[j], g[j], o[j], new[j], shown[j] = i_j, g_j, o_j, c_j, o_j * tanh(c_j)


@compiled
def _step_back(z: Any, c_before: Any, c: Any, p: Any, dh: Any, dc: Any, dz: Any) -> None:
    size, one = c.shape[1], p.dtype.type(1)
    p_i, p_f, p_o = p[0], p[1], p[2]
    for b in range(c.shape[0]):
        row, drow, old, new, dh_b, dc_b = z[b], dz[b], c_before[b], c[b], dh[b], dc[b]
        i, f, g, o = row[:size], row[size : 2 * size], row[2 * size : 3 * size], row[3 * size :]
        d_i, d_f = drow[:size], drow[size : 2 * size]
        d_g, d_o = drow[2 * size : 3 * size], drow[3 * size :]
        for j in range(size):
            shown = tanh(new[j])
            into_o = dh_b[j] * shown * o[j] * (one - o[j])
            d = dc_b[j] + dh_b[j] * o[j] * (one - shown * shown) + into_o * p_o[j]
            into_i = d * g[j] * i[j] * (one - i[j])
            into_f = d * old[j] * f[j] * (one - f[j])
            d_i[j], d_f[j], d_g[j], d_o[j] = into_i, into_f, d * i[j] * (one - g[j] * g[j]), into_o
            dc_b[j] = d * f[j] + into_i * p_i[j] + into_f * p_f[j]


@compiled
def _step_back_coupled(z: Any, c_before: Any, c: Any, p: Any, dh: Any, dc: Any, dz: Any) -> None:
    size, one = c.shape[1], p.dtype.type(1)
    p_i, p_o = p[0], p[1]
    for b in range(c.shape[0]):
        row, drow, old, new, dh_b, dc_b = z[b], dz[b], c_before[b], c[b], dh[b], dc[b]
        i, g, o = row[:size], row[size : 2 * size], row[2 * size :]
        d_i, d_g, d_o = drow[:size], drow[size : 2 * size], drow[2 * size :]
        for j in range(size):
            shown = tanh(new[j])
            into_o = dh_b[j] * shown * o[j] * (one - o[j])
            d = dc_b[j] + dh_b[j] * o[j] * (one - shown * shown) + into_o * p_o[j]
            into_i = d * (g[j] - old[j]) * i[j] * (one - i[j])
            d_i[j], d_g[j], d_o[j] = into_i, d * i[j] * (one - g[j] * g[j]), into_o
            dc_b[j] = d * (one - i[j]) + into_i * p_i[j]


@compiled
def _forward(
    gemm: int,
    starts_at_zero: bool,
    z: Any,
    fed_first: Any,
    c_first: Any,
    weight: Any,
    p: Any,
    keep: Any,
    c: Any,
    h: Any,
    fed: Any,
    b: int,
    e: int,
) -> None:
    """All steps of rows b to e; sliced here, where numba still knows that rows are contiguous.

    `fed` is what recurrent products see: h itself, or another array where a mask is kept. `c` may
    have room for two steps only.
    """
    one, room = p.dtype.type(1), c.shape[0]
    fed_before, c_before = fed_first[b:e], c_first[b:e]
    for t in range(z.shape[0]):
        if t or not starts_at_zero:
            add_product(gemm, True, weight, fed_before, one, z[t, b:e])
        c_rows, h_rows = c[t % room, b:e], h[t, b:e]
        if p.shape[0] == 3:
            _step(z[t, b:e], c_before, p, c_rows, h_rows)
        else:
            _step_coupled(z[t, b:e], c_before, p, c_rows, h_rows)
        if len(keep):
            keep_rows(h_rows, keep[b:e], fed[t, b:e])
        fed_before, c_before = fed[t, b:e], c_rows


@compiled
def _backward(
    gemm: int,
    to_first: bool,
    z: Any,
    c_first: Any,
    c: Any,
    weight: Any,
    p: Any,
    keep: Any,
    above: Any,
    dh: Any,
    dc: Any,
    dz: Any,
    b: int,
    e: int,
) -> None:
    """All steps of rows b to e, the last first; dh and dc end as those of the first state."""
    one = p.dtype.type(1)
    dh_rows, dc_rows = dh[b:e], dc[b:e]
    dh_rows[:] = above[-1, b:e]
    for t in range(z.shape[0] - 1, -1, -1):
        c_before = c[t - 1, b:e] if t else c_first[b:e]
        if p.shape[0] == 3:
            _step_back(z[t, b:e], c_before, c[t, b:e], p, dh_rows, dc_rows, dz[t, b:e])
        else:
            _step_back_coupled(z[t, b:e], c_before, c[t, b:e], p, dh_rows, dc_rows, dz[t, b:e])
        if t or to_first:
            add_product(gemm, False, weight, dz[t, b:e], one - one, dh_rows)
        if len(keep):
            keep_rows(dh_rows, keep[b:e], dh_rows)
        if t:
            add_rows(above[t - 1, b:e], dh_rows)


class CompiledSequence(Function):
    """From z_TBG, h_BH, c_BH, U, p and a mask (B, H) or (0, H) to h_TBH and the last c_BH.

    Writes on z_TBG.
    """

    @staticmethod
    def forward(
        ctx: Any,
        z_TBG: Tensor,
        h_BH: Tensor,
        c_BH: Tensor,
        weight_GH: Tensor,
        p_PH: Tensor,
        keep_BH: Tensor,
    ) -> tuple[Tensor, Tensor]:
        steps, (rows, size) = len(z_TBG), h_BH.shape
        h_TBH = z_TBG.new_empty(steps, rows, size)
        c_TBH = z_TBG.new_empty(steps if any(ctx.needs_input_grad) else 2, rows, size)
        fed_TBH = torch.empty_like(h_TBH) if len(keep_BH) else h_TBH
        fed_BH = (h_BH * keep_BH if len(keep_BH) else h_BH).contiguous()
        c_first, starts_at_zero = c_BH.contiguous(), not fed_BH.any()
        given = (z_TBG, fed_BH, c_first, weight_GH, p_PH, keep_BH, c_TBH, h_TBH, fed_TBH)
        gemm = gemm_address(z_TBG.dtype)
        over_rows(partial(_forward, gemm, starts_at_zero, *map(array, given)), rows)
        ctx.set_materialize_grads(False)
        ctx.starts_at_zero = starts_at_zero
        ctx.save_for_backward(z_TBG, fed_TBH, c_TBH, fed_BH, c_first, weight_GH, p_PH, keep_BH)
        return h_TBH, c_TBH[(steps - 1) % len(c_TBH)].clone()

    @staticmethod
    @by_hand
    def backward(
        ctx: Any, dh_TBH: Tensor | None, dc_BH: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        z_TBG, fed_TBH, c_TBH, fed_BH, c_BH, weight_GH, p_PH, keep_BH = ctx.saved_tensors
        above_TBH = torch.zeros_like(c_TBH) if dh_TBH is None else dh_TBH.contiguous()
        dc = torch.zeros_like(c_BH) if dc_BH is None else dc_BH.contiguous().clone()
        dh, dz_TBG = torch.empty_like(dc), torch.empty_like(z_TBG)
        given = (z_TBG, c_BH, c_TBH, weight_GH, p_PH, keep_BH, above_TBH, dh, dc, dz_TBG)
        gemm, to_first = gemm_address(dh.dtype), ctx.needs_input_grad[1]
        over_rows(partial(_backward, gemm, to_first, *map(array, given)), len(dh))
        start = None if ctx.starts_at_zero else fed_BH
        dweight = recurrent_gradient(dz_TBG, start, fed_TBH)
        dp_PH = None
        if ctx.needs_input_grad[4]:
            dp_PH = peephole_gradient(dz_TBG, before(c_BH, c_TBH), c_TBH)
        return dz_TBG, dh if to_first else None, dc, dweight, dp_PH, None


def warm() -> None:
    """Compile the loops, or read them from disk."""
    for gates in (3, 4):
        z_TBG = torch.zeros(1, 1, gates, requires_grad=True)
        zero, weight = torch.zeros(1, 1), torch.zeros(gates, 1)
        given = (zero, zero, weight, torch.zeros(gates - 1, 1), torch.empty(0, 1))
        h_TBH, _ = applied(CompiledSequence, z_TBG.clone(), *given)
        h_TBH.sum().backward()


def run_compiled_lstm(
    x_BTI: Tensor,
    state: tuple[Tensor, ...],
    weights: tuple[Tensor, Tensor, Tensor, Tensor],
    keep_BH: Tensor | None = None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """h_BTH and the last h and c, from W, U, b and p, and a mask for recurrent dropout."""
    weight_ih, weight_hh, bias, p_PH = weights
    z_TBG = input_share(x_BTI, weight_ih, bias)
    keep_BH = no_mask(state[0]) if keep_BH is None else keep_BH
    h_TBH, c_BH = applied(CompiledSequence, z_TBG, *state, weight_hh, p_PH, keep_BH)
    return batch_first(h_TBH), (h_TBH[-1].clone(), c_BH)
