"""The LSTM family with layer normalisation (Ba et al. 2016) over a whole sequence, in compiled loops.

z_BG = LN(W x) + b is given and becomes the gates i, f, g, o (i, g, o when coupled), after
gain ⊙ u_BG is added, where u is U h, normalised; h = o ⊙ tanh(gain_c ⊙ n + bias_c), where n is c,
normalised. p_PH are the peepholes of i, f, o, zero where a cell has none.
"""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional

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
    without_autocast,
)

EPSILON = 1e-5  # torch's


@compiled
def _dot(x: Any, y: Any) -> Any:
    """Σ x ⊙ y in eight sums: additions that wait for each other would take most of the time."""
    whole = len(x) // 8 * 8
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = x.dtype.type(0)
    for j in range(0, whole, 8):
        s0 += x[j] * y[j]
        s1 += x[j + 1] * y[j + 1]
        s2 += x[j + 2] * y[j + 2]
        s3 += x[j + 3] * y[j + 3]
        s4 += x[j + 4] * y[j + 4]
        s5 += x[j + 5] * y[j + 5]
        s6 += x[j + 6] * y[j + 6]
        s7 += x[j + 7] * y[j + 7]
    for j in range(whole, len(x)):
        s0 += x[j] * y[j]
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


@compiled
def _normalise(x: Any, ones: Any, out: Any, scale: Any) -> None:
    """out = (x - mean) · scale, row by row; scale is one by the standard deviation."""
    kind = x.dtype.type
    one, count, epsilon = kind(1), kind(x.shape[1]), kind(EPSILON)
    for b in range(x.shape[0]):
        row, normal = x[b], out[b]
        mean = _dot(row, ones) / count
        for j in range(x.shape[1]):
            normal[j] = row[j] - mean
        factor = one / kind(math.sqrt(_dot(normal, normal) / count + epsilon))
        for j in range(x.shape[1]):
            normal[j] *= factor
        scale[b] = factor


@compiled
def _normalise_back(dy: Any, gain: Any, ones: Any, normal: Any, scale: Any, out: Any) -> None:
    """out = the derivative by x of a loss with derivative dy by gain ⊙ normal."""
    count = dy.dtype.type(dy.shape[1])
    for b in range(dy.shape[0]):
        d, n, row, factor = dy[b], normal[b], out[b], scale[b]
        for j in range(dy.shape[1]):
            row[j] = d[j] * gain[j]
        mean, along = _dot(row, ones) / count, _dot(row, n) / count
        for j in range(dy.shape[1]):
            row[j] = factor * (row[j] - mean - n[j] * along)


@compiled
def _gates(z: Any, u: Any, gain: Any, c_before: Any, p: Any, c: Any) -> None:
    size = c.shape[1]
    p_i, p_f, p_o = p[0], p[1], p[2]
    for b in range(c.shape[0]):
        row, share, old, new = z[b], u[b], c_before[b], c[b]
        for j in range(row.shape[0]):
            row[j] += gain[j] * share[j]
        i, f, g, o = row[:size], row[size : 2 * size], row[2 * size : 3 * size], row[3 * size :]
        for j in range(size):
            i_j = sigmoid(i[j] + p_i[j] * old[j])
            f_j = sigmoid(f[j] + p_f[j] * old[j])
            g_j = tanh(g[j])
            c_j = f_j * old[j] + i_j * g_j
            i[j], f[j], g[j], o[j], new[j] = i_j, f_j, g_j, sigmoid(o[j] + p_o[j] * c_j), c_j


@compiled
def _gates_coupled(z: Any, u: Any, gain: Any, c_before: Any, p: Any, c: Any) -> None:
    size = c.shape[1]
    p_i, p_o = p[0], p[1]
    for b in range(c.shape[0]):
        row, share, old, new = z[b], u[b], c_before[b], c[b]
        for j in range(row.shape[0]):
            row[j] += gain[j] * share[j]
        i, g, o = row[:size], row[size : 2 * size], row[2 * size :]
        for j in range(size):
            i_j, g_j = sigmoid(i[j] + p_i[j] * old[j]), tanh(g[j])
            c_j = old[j] + i_j * (g_j - old[j])
            i[j], g[j], o[j], new[j] = i_j, g_j, sigmoid(o[j] + p_o[j] * c_j), c_j


@compiled
def _show(z: Any, n: Any, gain_c: Any, bias_c: Any, h: Any) -> None:
    size = h.shape[1]
    for b in range(h.shape[0]):
        o, normal, shown = z[b, z.shape[1] - size :], n[b], h[b]
        for j in range(size):
            shown[j] = o[j] * tanh(gain_c[j] * normal[j] + bias_c[j])


@compiled
def _show_back(z: Any, n: Any, gain_c: Any, bias_c: Any, dh: Any, dz: Any, dn: Any) -> None:
    """Writes the derivatives by o's pre-activation and by what tanh was taken of."""
    size, one = dh.shape[1], dh.dtype.type(1)
    for b in range(dh.shape[0]):
        o, normal, d = z[b, z.shape[1] - size :], n[b], dh[b]
        d_o, into_n = dz[b, z.shape[1] - size :], dn[b]
        for j in range(size):
            shown = tanh(gain_c[j] * normal[j] + bias_c[j])
            d_o[j] = d[j] * shown * o[j] * (one - o[j])
            into_n[j] = d[j] * o[j] * (one - shown * shown)


@compiled
def _gates_back(z: Any, c_before: Any, p: Any, into_c: Any, dc: Any, dz: Any) -> None:
    size, one = dc.shape[1], p.dtype.type(1)
    p_i, p_f, p_o = p[0], p[1], p[2]
    for b in range(dc.shape[0]):
        row, drow, old, more, dc_b = z[b], dz[b], c_before[b], into_c[b], dc[b]
        i, f, g = row[:size], row[size : 2 * size], row[2 * size : 3 * size]
        d_i, d_f = drow[:size], drow[size : 2 * size]
        d_g, d_o = drow[2 * size : 3 * size], drow[3 * size :]
        for j in range(size):
            d = dc_b[j] + more[j] + d_o[j] * p_o[j]
            into_i = d * g[j] * i[j] * (one - i[j])
            into_f = d * old[j] * f[j] * (one - f[j])
            d_i[j], d_f[j], d_g[j] = into_i, into_f, d * i[j] * (one - g[j] * g[j])
            dc_b[j] = d * f[j] + into_i * p_i[j] + into_f * p_f[j]


@compiled
def _gates_back_coupled(z: Any, c_before: Any, p: Any, into_c: Any, dc: Any, dz: Any) -> None:
    size, one = dc.shape[1], p.dtype.type(1)
    p_i, p_o = p[0], p[1]
    for b in range(dc.shape[0]):
        row, drow, old, more, dc_b = z[b], dz[b], c_before[b], into_c[b], dc[b]
        i, g = row[:size], row[size : 2 * size]
        d_i, d_g, d_o = drow[:size], drow[size : 2 * size], drow[2 * size :]
        for j in range(size):
            d = dc_b[j] + more[j] + d_o[j] * p_o[j]
            into_i = d * (g[j] - old[j]) * i[j] * (one - i[j])
            d_i[j], d_g[j] = into_i, d * i[j] * (one - g[j] * g[j])
            dc_b[j] = d * (one - i[j]) + into_i * p_i[j]


@compiled
def _forward(
    gemm: int,
    z: Any,
    weights: Any,
    ones: Any,
    keep: Any,
    fed_first: Any,
    c_first: Any,
    u: Any,
    c: Any,
    n: Any,
    scales: Any,
    h: Any,
    fed: Any,
    b: int,
    e: int,
) -> None:
    """All steps of rows b to e; all but z, h and what is fed back may have room for two only."""
    weight, p, gain, gain_c, bias_c = weights
    zero, room = p.dtype.type(0), c.shape[0]
    fed_before, c_before = fed_first[b:e], c_first[b:e]
    for t in range(z.shape[0]):
        k = t % room
        z_rows, u_rows, c_rows, n_rows, h_rows = (
            z[t, b:e],
            u[k, b:e],
            c[k, b:e],
            n[k, b:e],
            h[t, b:e],
        )
        add_product(gemm, True, weight, fed_before, zero, u_rows)
        _normalise(u_rows, ones, u_rows, scales[0, k, b:e])
        if p.shape[0] == 3:
            _gates(z_rows, u_rows, gain, c_before, p, c_rows)
        else:
            _gates_coupled(z_rows, u_rows, gain, c_before, p, c_rows)
        _normalise(c_rows, ones, n_rows, scales[1, k, b:e])
        _show(z_rows, n_rows, gain_c, bias_c, h_rows)
        if len(keep):
            keep_rows(h_rows, keep[b:e], fed[t, b:e])
        fed_before, c_before = fed[t, b:e], c_rows


@compiled
def _backward(
    gemm: int,
    z: Any,
    weights: Any,
    ones: Any,
    keep: Any,
    c_first: Any,
    u: Any,
    c: Any,
    n: Any,
    scales: Any,
    above: Any,
    dh: Any,
    dc: Any,
    scratch: Any,
    dz: Any,
    du: Any,
    dn: Any,
    b: int,
    e: int,
) -> None:
    """All steps of rows b to e, the last first; dh and dc end as those of the first state."""
    weight, p, gain, gain_c, bias_c = weights
    dh_rows, dc_rows, into_c = dh[b:e], dc[b:e], scratch[b:e]
    dh_rows[:] = above[-1, b:e]
    for t in range(z.shape[0] - 1, -1, -1):
        z_rows, dz_rows, n_rows, dn_rows = z[t, b:e], dz[t, b:e], n[t, b:e], dn[t, b:e]
        c_before = c[t - 1, b:e] if t else c_first[b:e]
        _show_back(z_rows, n_rows, gain_c, bias_c, dh_rows, dz_rows, dn_rows)
        _normalise_back(dn_rows, gain_c, ones, n_rows, scales[1, t, b:e], into_c)
        if p.shape[0] == 3:
            _gates_back(z_rows, c_before, p, into_c, dc_rows, dz_rows)
        else:
            _gates_back_coupled(z_rows, c_before, p, into_c, dc_rows, dz_rows)
        _normalise_back(dz_rows, gain, ones, u[t, b:e], scales[0, t, b:e], du[t, b:e])
        add_product(gemm, False, weight, du[t, b:e], p.dtype.type(0), dh_rows)
        if len(keep):
            keep_rows(dh_rows, keep[b:e], dh_rows)
        if t:
            add_rows(above[t - 1, b:e], dh_rows)


class NormalisedSequence(Function):
    """From z_TBG, h_BH, c_BH, a mask (B, H) or (0, H), U, p, the gain of U h, and gain and bias of c.

    Gives h_TBH and the last c_BH. Writes on z_TBG.
    """

    @staticmethod
    def forward(
        ctx: Any, z_TBG: Tensor, h_BH: Tensor, c_BH: Tensor, keep_BH: Tensor, *weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        steps, shape = len(z_TBG), h_BH.shape
        room = steps if any(ctx.needs_input_grad) else 2
        h_TBH, u_TBG = z_TBG.new_empty(steps, *shape), z_TBG.new_empty(room, *z_TBG.shape[1:])
        c_TBH, n_TBH = (z_TBG.new_empty(room, *shape) for _ in range(2))
        scales, ones = z_TBG.new_empty(2, room, len(h_BH)), z_TBG.new_ones(z_TBG.shape[2])
        fed_TBH = torch.empty_like(h_TBH) if len(keep_BH) else h_TBH
        fed_BH = (h_BH * keep_BH if len(keep_BH) else h_BH).contiguous()
        kept = (ones, keep_BH, fed_BH, c_BH.contiguous(), u_TBG, c_TBH, n_TBH, scales)
        given = map(array, (*kept, h_TBH, fed_TBH))
        gemm, own = gemm_address(z_TBG.dtype), tuple(map(array, weights))
        over_rows(partial(_forward, gemm, array(z_TBG), own, *given), len(h_BH))
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(z_TBG, *kept, fed_TBH, *weights)
        return h_TBH, c_TBH[(steps - 1) % room].clone()

    @staticmethod
    @by_hand
    def backward(
        ctx: Any, dh_TBH: Tensor | None, dc_BH: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        z_TBG, ones, keep_BH, fed_BH, c_BH, *kept, fed_TBH = ctx.saved_tensors[:10]
        weights, (u_TBG, c_TBH, n_TBH, _) = ctx.saved_tensors[10:], kept
        above_TBH = torch.zeros_like(c_TBH) if dh_TBH is None else dh_TBH.contiguous()
        dc = torch.zeros_like(c_BH) if dc_BH is None else dc_BH.contiguous().clone()
        dh, scratch, dn_TBH = torch.empty_like(dc), torch.empty_like(dc), torch.empty_like(c_TBH)
        dz_TBG, du_TBG = torch.empty_like(z_TBG), torch.empty_like(z_TBG)
        written = (dh, dc, scratch, dz_TBG, du_TBG, dn_TBH)
        given = map(array, (ones, keep_BH, c_BH, *kept, above_TBH, *written))
        gemm, own = gemm_address(dh.dtype), tuple(map(array, weights))
        over_rows(partial(_backward, gemm, array(z_TBG), own, *given), len(dh))
        dp_PH = None
        if ctx.needs_input_grad[5]:
            dp_PH = peephole_gradient(dz_TBG, before(c_BH, c_TBH), c_TBH)
        dweight = recurrent_gradient(du_TBG, fed_BH, fed_TBH)
        dgain, dgain_c = (dz_TBG * u_TBG).sum((0, 1)), (dn_TBH * n_TBH).sum((0, 1))
        return dz_TBG, dh, dc, None, dweight, dp_PH, dgain, dgain_c, dn_TBH.sum((0, 1))


def warm() -> None:
    """Compile the loops, or read them from disk."""
    for gates in (3, 4):
        z_TBG = torch.zeros(1, 1, gates, requires_grad=True)
        one = torch.ones(1)
        weights = (torch.zeros(gates, 1), torch.zeros(gates - 1, 1), torch.ones(gates), one, one)
        zero = torch.zeros(1, 1)
        given = (zero, zero, torch.empty(0, 1), *weights)
        h_TBH, _ = applied(NormalisedSequence, z_TBG.clone(), *given)
        h_TBH.sum().backward()


def run_normalised_lstm(
    x_BTI: Tensor,
    state: tuple[Tensor, ...],
    for_input: tuple[Tensor, Tensor, Tensor],
    recurrent: tuple[Tensor, Tensor, Tensor, Tensor, Tensor],
    keep_BH: Tensor | None = None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """h_BTH and the last h and c, from W, its gain and b, and U, p, its gain, c's gain and bias."""
    weight_ih, gain_ih, bias = for_input
    with without_autocast(x_BTI):  # normalisation would make much of what is rounded away
        shares_TBG = input_share(x_BTI.to(weight_ih.dtype), weight_ih, None)
        z_TBG = functional.layer_norm(shares_TBG, gain_ih.shape, gain_ih, bias)
    keep_BH = no_mask(state[0]) if keep_BH is None else keep_BH
    h_TBH, c_BH = applied(NormalisedSequence, z_TBG, *state, keep_BH, *recurrent)
    return batch_first(h_TBH), (h_TBH[-1].clone(), c_BH)
