"""The GRU that resets after its product over a whole sequence, in compiled loops.

z_BG, what the inputs give, becomes the gates r, z, n; u_BG is what the state gives. Derivatives
are those of shared.nn.kernels.gru, a step at a time.
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
    by_hand,
    input_share,
    no_mask,
    recurrent_gradient,
)


@compiled
def _step(gates: Any, u: Any, h_before: Any, h: Any) -> None:
    size = h.shape[1]
    for b in range(h.shape[0]):
        row, share, old, new = gates[b], u[b], h_before[b], h[b]
        r, z, n = row[:size], row[size : 2 * size], row[2 * size :]
        u_r, u_z, u_n = share[:size], share[size : 2 * size], share[2 * size :]
        for j in range(size):
            r_j = sigmoid(r[j] + u_r[j])
            z_j = sigmoid(z[j] + u_z[j])
            n_j = tanh(n[j] + r_j * u_n[j])
            r[j], z[j], n[j], new[j] = r_j, z_j, n_j, n_j + z_j * (old[j] - n_j)


@compiled
def _step_back(gates: Any, u: Any, h_before: Any, dh: Any, du: Any, dn: Any) -> None:
    """Writes du and dn of this step, and leaves in dh what passes by the gates."""
    size, one = dh.shape[1], dh.dtype.type(1)
    for b in range(dh.shape[0]):
        row, share, drow, old, dh_b, dn_b = gates[b], u[b], du[b], h_before[b], dh[b], dn[b]
        r, z, n, u_n = row[:size], row[size : 2 * size], row[2 * size :], share[2 * size :]
        d_r, d_z, d_n = drow[:size], drow[size : 2 * size], drow[2 * size :]
        for j in range(size):
            d = dh_b[j]
            into_n = d * (one - z[j]) * (one - n[j] * n[j])
            d_r[j] = into_n * u_n[j] * r[j] * (one - r[j])
            d_z[j] = d * (old[j] - n[j]) * z[j] * (one - z[j])
            d_n[j], dn_b[j], dh_b[j] = into_n * r[j], into_n, d * z[j]


@compiled
def _forward(
    gemm: int,
    z: Any,
    u: Any,
    h_first: Any,
    weight: Any,
    bias: Any,
    keep: Any,
    h: Any,
    fed: Any,
    b: int,
    e: int,
) -> None:
    """All steps of rows b to e; sliced here, where numba still knows that rows are contiguous.

    `u` may have room for one step only. The last of `fed` is what the first product sees, those
    before it what later ones see, where a mask is kept; it is empty where none is.
    """
    one, room = bias.dtype.type(1), u.shape[0]
    h_before = h_first[b:e]
    for t in range(z.shape[0]):
        share = u[t % room, b:e]
        share[:] = bias
        if len(keep):
            fed_before = fed[t - 1, b:e]
            keep_rows(h_before, keep[b:e], fed_before)
            add_product(gemm, True, weight, fed_before, one, share)
        else:
            add_product(gemm, True, weight, h_before, one, share)
        _step(z[t, b:e], share, h_before, h[t, b:e])
        h_before = h[t, b:e]


@compiled
def _backward(
    gemm: int,
    z: Any,
    u: Any,
    h_first: Any,
    h: Any,
    weight: Any,
    keep: Any,
    above: Any,
    dh: Any,
    du: Any,
    dn: Any,
    scratch: Any,
    b: int,
    e: int,
) -> None:
    """All steps of rows b to e, the last first; dh ends as that of the first state."""
    one = dh.dtype.type(1)
    rows = dh[b:e]
    rows[:] = 0
    for t in range(z.shape[0] - 1, -1, -1):
        add_rows(above[t, b:e], rows)
        h_before = h[t - 1, b:e] if t else h_first[b:e]
        _step_back(z[t, b:e], u[t, b:e], h_before, rows, du[t, b:e], dn[t, b:e])
        if len(keep):
            kept = scratch[b:e]
            add_product(gemm, False, weight, du[t, b:e], one - one, kept)
            keep_rows(kept, keep[b:e], kept)
            add_rows(kept, rows)
        else:
            add_product(gemm, False, weight, du[t, b:e], one, rows)


class CompiledSequence(Function):
    """From z_TBG, h_BH, U, b_u and a mask (B, H) or (0, H) to h_TBH. Writes on z_TBG."""

    @staticmethod
    def forward(
        ctx: Any,
        z_TBG: Tensor,
        h_BH: Tensor,
        weight_GH: Tensor,
        bias_G: Tensor,
        keep_BH: Tensor,
    ) -> Tensor:
        h_BH, steps = h_BH.contiguous(), len(z_TBG)
        h_TBH = z_TBG.new_empty(steps, *h_BH.shape)
        fed_TBH = h_BH.new_empty(steps if len(keep_BH) else 0, *h_BH.shape)
        u_TBG = z_TBG.new_empty(steps if any(ctx.needs_input_grad) else 1, *z_TBG.shape[1:])
        given = (z_TBG, u_TBG, h_BH, weight_GH, bias_G, keep_BH, h_TBH, fed_TBH)
        over_rows(partial(_forward, gemm_address(z_TBG.dtype), *map(array, given)), len(h_BH))
        ctx.save_for_backward(z_TBG, u_TBG, h_TBH, fed_TBH, h_BH, weight_GH, keep_BH)
        return h_TBH

    @staticmethod
    @by_hand
    def backward(ctx: Any, dh_TBH: Tensor) -> tuple[Tensor | None, ...]:
        z_TBG, u_TBG, h_TBH, fed_TBH, h_BH, weight_GH, keep_BH = ctx.saved_tensors
        du_TBG, dn_TBH, dh = (torch.empty_like(each) for each in (z_TBG, h_TBH, h_BH))
        above_TBH, scratch_BH = dh_TBH.contiguous(), torch.empty_like(keep_BH)
        given = (z_TBG, u_TBG, h_BH, h_TBH, weight_GH, keep_BH, above_TBH)
        written = (dh, du_TBG, dn_TBH, scratch_BH)
        over_rows(partial(_backward, gemm_address(dh.dtype), *map(array, given + written)), len(dh))
        first_BH = h_BH
        if len(keep_BH):
            first_BH, h_TBH = fed_TBH[-1], fed_TBH
        dweight, dbias = recurrent_gradient(du_TBG, first_BH, h_TBH), du_TBG.sum((0, 1))
        du_TBG[:, :, -dn_TBH.shape[2] :] = dn_TBH  # what differs on the input's side
        return du_TBG, dh, dweight, dbias, None


def warm() -> None:
    """Compile the loops, or read them from disk."""
    z_TBG, zero = torch.zeros(1, 1, 3, requires_grad=True), torch.zeros(1, 1)
    given = (zero, torch.zeros(3, 1), torch.zeros(3), torch.empty(0, 1))
    applied(CompiledSequence, z_TBG.clone(), *given).sum().backward()


def run_compiled_gru(
    x_BTI: Tensor,
    h_BH: Tensor,
    weights: tuple[Tensor, Tensor, Tensor, Tensor],
    keep_BH: Tensor | None = None,
) -> Tensor:
    """h_BTH, from W, U, b and b_u, and a mask for recurrent dropout."""
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    z_TBG = input_share(x_BTI, weight_ih, bias_ih)
    keep_BH = no_mask(h_BH) if keep_BH is None else keep_BH
    return batch_first(applied(CompiledSequence, z_TBG, h_BH, weight_hh, bias_hh, keep_BH))
