"""LSTMs with peepholes or coupled gates over a whole sequence. Gate order i, f, g, o, or i, g, o."""

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


class PeepholeSequence(Function):
    """From z_TBG, h_BH, c_BH, U and p to h_TBH and the last c_BH. Three gates are coupled ones."""

    @staticmethod
    def forward(
        ctx: Any, z_TBG: Tensor, h_BH: Tensor, c_BH: Tensor, weight_GH: Tensor, p_PH: Tensor
    ) -> tuple[Tensor, Tensor]:
        size, early = h_BH.shape[1], p_PH.shape[0] - 1
        h_TBH, c_TBH, tanh_TBH = (z_TBG.new_empty(*z_TBG.shape[:2], size) for _ in range(3))
        h, c, recurrent, p_early, p_out = h_BH, c_BH, weight_GH.t(), p_PH[:-1], p_PH[-1]
        with torch.inference_mode():
            z_TBGH = z_TBG.unflatten(2, (-1, size))
            *first, new, out = (each.unbind(0) for each in z_TBGH.unbind(2))
            pre, seeing = z_TBG.unbind(0), z_TBGH[:, :, :early].unbind(0)
            rooms = (each.unbind(0) for each in (h_TBH, c_TBH, tanh_TBH))
            for t, (h_room, c_room, tanh_room) in enumerate(zip(*rooms, strict=True)):
                torch.addmm(pre[t], h, recurrent, out=pre[t])
                seeing[t].addcmul_(c.unsqueeze(1), p_early).sigmoid_()
                g, i = new[t].tanh_(), first[0][t]
                if early == 1:
                    c = torch.lerp(c, g, i, out=c_room)
                else:
                    c = torch.mul(first[1][t], c, out=c_room).addcmul_(i, g)
                o = out[t].addcmul_(c, p_out).sigmoid_()
                h = torch.mul(o, torch.tanh(c, out=tanh_room), out=h_room)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(z_TBG, h_TBH, c_TBH, tanh_TBH, h_BH, c_BH, weight_GH, p_PH)
        return h_TBH, c_TBH[-1].clone()

    @staticmethod
    @by_hand
    def backward(ctx: Any, dh_TBH: Tensor | None, dc_BH: Tensor | None) -> tuple[Tensor, ...]:
        gates, h_TBH, c_TBH, tanh_TBH, h_BH, c_BH, weight_GH, p_PH = ctx.saved_tensors
        before_TBH = before(c_BH, c_TBH)
        slopes, kept, shown = _slopes(gates, before_TBH, tanh_TBH, p_PH)
        dh_TBH = torch.zeros_like(h_TBH) if dh_TBH is None else dh_TBH.contiguous()
        dc = torch.zeros_like(c_BH) if dc_BH is None else dc_BH.clone()
        dz_TBGH, dh = torch.empty_like(slopes), dh_TBH[-1].clone()
        dz_TBG = dz_TBGH.view_as(gates)
        with torch.inference_mode():
            above, flat = dh_TBH.unbind(0), dz_TBG.unbind(0)
            through_c, through_h = slopes[:, :, :-1].unbind(0), slopes[:, :, -1].unbind(0)
            dz_c, dz_h = dz_TBGH[:, :, :-1].unbind(0), dz_TBGH[:, :, -1].unbind(0)
            past, into_c = kept.unbind(0), shown.unbind(0)
            for t in range(len(flat) - 1, -1, -1):
                torch.mul(dh, through_h[t], out=dz_h[t])
                dc.addcmul_(dh, into_c[t])
                torch.mul(dc.unsqueeze(1), through_c[t], out=dz_c[t])
                dc.mul_(past[t])
                if t:
                    torch.addmm(above[t - 1], flat[t], weight_GH, out=dh)
        early = p_PH.shape[0] - 1
        dp_early = (dz_TBGH[:, :, :early] * before_TBH.unsqueeze(2)).sum((0, 1))
        dp_out = (dz_TBGH[:, :, -1] * c_TBH).sum((0, 1))
        dweight = weight_gradient(dz_TBG, before(h_BH, h_TBH))
        dp_PH = torch.cat([dp_early, dp_out.unsqueeze(0)])
        return dz_TBG, dz_TBG[0] @ weight_GH, dc, dweight, dp_PH


def _slopes(
    gates_TBG: Tensor, before_TBH: Tensor, tanh_TBH: Tensor, p_PH: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Derivatives of all steps at once.

    Of c by the pre-activation of each gate but o, of h by that of o; of c by the c before it; of h
    by c.
    """
    size, early = tanh_TBH.shape[2], p_PH.shape[0] - 1
    gates = gates_TBG.unflatten(2, (-1, size))
    slopes = torch.empty_like(gates)
    i, g, o = gates[:, :, 0], gates[:, :, -2], gates[:, :, -1]
    kept = 1 - i if early == 1 else gates[:, :, 1].clone()
    torch.mul(g - before_TBH if early == 1 else g, i - i * i, out=slopes[:, :, 0])
    if early == 2:
        torch.mul(before_TBH, kept - kept * kept, out=slopes[:, :, 1])
    torch.mul(i, 1 - g * g, out=slopes[:, :, -2])
    torch.mul(tanh_TBH, o - o * o, out=slopes[:, :, -1])
    for gate in range(early):
        kept.addcmul_(slopes[:, :, gate], p_PH[gate])
    shown = torch.addcmul(o, o * tanh_TBH, tanh_TBH, value=-1)
    return slopes, kept, shown.addcmul_(slopes[:, :, -1], p_PH[-1])


def run_peephole_lstm(
    x_BTI: Tensor, state: tuple[Tensor, ...], weights: tuple[Tensor, Tensor, Tensor, Tensor]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """h_BTH and the last h and c, from W, U, b and p."""
    weight_ih, weight_hh, bias, p_PH = weights
    z_TBG = input_share(x_BTI, weight_ih, bias)
    h_TBH, c_BH = applied(PeepholeSequence, z_TBG, *state, weight_hh, p_PH)
    return batch_first(h_TBH), (h_TBH[-1].clone(), c_BH)
