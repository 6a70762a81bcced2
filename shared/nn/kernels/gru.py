"""Both forms of the GRU over a whole sequence, with their derivatives. Gate order r, z, n."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from shared.nn.kernels.whole import (
    applied,
    batch_first,
    before,
    by_hand,
    input_share,
    weight_gradient,
)


class ResetAfter(Function):
    """n = tanh(z_n + r ⊙ (U_n h' + b_n)), h = (1 - z) ⊙ n + z ⊙ h', from z_TBG, h_BH, U and b."""

    @staticmethod
    def forward(ctx: Any, z_TBG: Tensor, h_BH: Tensor, weight_GH: Tensor, bias_G: Tensor) -> Tensor:
        size, h, recurrent = h_BH.shape[1], h_BH, weight_GH.t()
        u_TBG, h_TBH = torch.empty_like(z_TBG), z_TBG.new_empty(*z_TBG.shape[:2], size)
        with torch.inference_mode():
            share, room = u_TBG.unbind(0), h_TBH.unbind(0)
            reset, update, new = (each.unbind(0) for each in z_TBG.split(size, 2))
            gates = z_TBG[:, :, : 2 * size].unbind(0)
            gates_share = u_TBG[:, :, : 2 * size].unbind(0)
            new_share = u_TBG[:, :, 2 * size :].unbind(0)
            for t in range(len(room)):
                torch.addmm(bias_G, h, recurrent, out=share[t])
                gates[t].add_(gates_share[t]).sigmoid_()
                n = new[t].addcmul_(reset[t], new_share[t]).tanh_()
                h = torch.lerp(n, h, update[t], out=room[t])
        ctx.save_for_backward(z_TBG, u_TBG, h_TBH, h_BH, weight_GH)
        return h_TBH

    @staticmethod
    @by_hand
    def backward(ctx: Any, dh_TBH: Tensor) -> tuple[Tensor, ...]:
        gates_TBG, u_TBG, h_TBH, h_BH, weight_GH = ctx.saved_tensors
        size = h_BH.shape[1]
        r, z, n = gates_TBG.split(size, 2)
        before_TBH = before(h_BH, h_TBH)
        into_n = (1 - z) * (1 - n * n)
        local = gates_TBG.new_empty(*h_TBH.shape[:2], 3, size)
        torch.mul(into_n * u_TBG[:, :, 2 * size :], r - r * r, out=local[:, :, 0])
        torch.mul(before_TBH - n, z - z * z, out=local[:, :, 1])
        torch.mul(into_n, r, out=local[:, :, 2])
        du_TB3H, all_dh = torch.empty_like(local), torch.empty_like(h_TBH)
        du_TBG = du_TB3H.view_as(gates_TBG)
        with torch.inference_mode():
            above, each, flat = dh_TBH.contiguous().unbind(0), du_TB3H.unbind(0), du_TBG.unbind(0)
            slopes, kept, room = local.unbind(0), z.unbind(0), all_dh.unbind(0)
            dh = room[-1].copy_(above[-1])
            for t in range(len(room) - 1, -1, -1):
                torch.mul(dh.unsqueeze(1), slopes[t], out=each[t])
                if t:
                    dh = torch.addcmul(above[t - 1], dh, kept[t], out=room[t - 1])
                    torch.addmm(dh, flat[t], weight_GH, out=dh)
        dfirst = torch.addmm(all_dh[0] * z[0], du_TBG[0], weight_GH)
        dweight, dbias = weight_gradient(du_TBG, before_TBH), du_TBG.sum((0, 1))
        torch.mul(all_dh, into_n, out=du_TB3H[:, :, 2])  # what differs on the input's side
        return du_TBG, dfirst, dweight, dbias


class ResetBefore(Function):
    """n = tanh(z_n + U_n (r ⊙ h')), h = z ⊙ n + (1 - z) ⊙ h', from z_TBG, h_BH and U."""

    @staticmethod
    def forward(ctx: Any, z_TBG: Tensor, h_BH: Tensor, weight_GH: Tensor) -> Tensor:
        size, h = h_BH.shape[1], h_BH
        for_gates, for_new = weight_GH[: 2 * size].t(), weight_GH[2 * size :].t()
        rh_TBH, h_TBH = (z_TBG.new_empty(*z_TBG.shape[:2], size) for _ in range(2))
        with torch.inference_mode():
            room, kept = h_TBH.unbind(0), rh_TBH.unbind(0)
            reset, update, new = (each.unbind(0) for each in z_TBG.split(size, 2))
            gates = z_TBG[:, :, : 2 * size].unbind(0)
            for t in range(len(room)):
                torch.addmm(gates[t], h, for_gates, out=gates[t]).sigmoid_()
                rh = torch.mul(reset[t], h, out=kept[t])
                n = torch.addmm(new[t], rh, for_new, out=new[t]).tanh_()
                h = torch.lerp(h, n, update[t], out=room[t])
        ctx.save_for_backward(z_TBG, rh_TBH, h_TBH, h_BH, weight_GH)
        return h_TBH

    @staticmethod
    @by_hand
    def backward(ctx: Any, dh_TBH: Tensor) -> tuple[Tensor, ...]:
        gates_TBG, rh_TBH, h_TBH, h_BH, weight_GH = ctx.saved_tensors
        size, before_TBH = h_BH.shape[1], before(h_BH, h_TBH)
        r, z, n = gates_TBG.split(size, 2)
        dz_TBG = torch.empty_like(gates_TBG)
        slopes = (before_TBH * (r - r * r), (n - before_TBH) * (z - z * z), z * (1 - n * n), 1 - z)
        dh, drh = dh_TBH[-1].clone(), torch.empty_like(h_BH)
        with torch.inference_mode():
            into_r, into_z, into_n, past = (each.unbind(0) for each in slopes)
            dr, dz, dn = (each.unbind(0) for each in dz_TBG.split(size, 2))
            above, reset = dh_TBH.contiguous().unbind(0), r.unbind(0)
            dgates = dz_TBG[:, :, : 2 * size].unbind(0)
            for_gates, for_new = weight_GH[: 2 * size], weight_GH[2 * size :]
            for t in range(len(above) - 1, -1, -1):
                torch.mm(torch.mul(dh, into_n[t], out=dn[t]), for_new, out=drh)
                torch.mul(drh, into_r[t], out=dr[t])
                torch.mul(dh, into_z[t], out=dz[t])
                torch.mul(dh, past[t], out=dh).addcmul_(drh, reset[t])
                torch.addmm(dh, dgates[t], for_gates, out=dh)
                if t:
                    dh.add_(above[t - 1])
        dweight = torch.cat(
            [
                weight_gradient(dz_TBG[:, :, : 2 * size], before_TBH),
                weight_gradient(dz_TBG[:, :, 2 * size :], rh_TBH),
            ]
        )
        return dz_TBG, dh, dweight


def run_gru(
    x_BTI: Tensor,
    h_BH: Tensor,
    weights: tuple[Tensor, Tensor, Tensor, Tensor],
    *,
    reset_after: bool,
) -> Tensor:
    """h_BTH, from W, U, b and b_u."""
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    if reset_after:
        z_TBG = input_share(x_BTI, weight_ih, bias_ih)
        return batch_first(applied(ResetAfter, z_TBG, h_BH, weight_hh, bias_hh))
    z_TBG = input_share(x_BTI, weight_ih, bias_ih + bias_hh)
    return batch_first(applied(ResetBefore, z_TBG, h_BH, weight_hh))
