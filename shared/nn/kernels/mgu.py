"""The minimal gated unit over a whole sequence: n = tanh(z_n + U_n (f ⊙ h')), gate order f, n."""

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


class MguSequence(Function):
    """h = (1 - f) ⊙ h' + f ⊙ n, from z_fTBH, z_nTBH, h_BH and U."""

    @staticmethod
    def forward(ctx: Any, f_TBH: Tensor, n_TBH: Tensor, h_BH: Tensor, weight_GH: Tensor) -> Tensor:
        for_gate, for_new = (weight.t() for weight in weight_GH.chunk(2))
        fh_TBH, h_TBH, h = torch.empty_like(f_TBH), torch.empty_like(f_TBH), h_BH
        with torch.inference_mode():
            steps = (each.unbind(0) for each in (f_TBH, n_TBH, fh_TBH, h_TBH))
            for f, n, fh, room in zip(*steps, strict=True):
                torch.addmm(f, h, for_gate, out=f).sigmoid_()
                torch.mul(f, h, out=fh)
                torch.addmm(n, fh, for_new, out=n).tanh_()
                h = torch.lerp(h, n, f, out=room)
        ctx.save_for_backward(f_TBH, n_TBH, fh_TBH, h_TBH, h_BH, weight_GH)
        return h_TBH

    @staticmethod
    @by_hand
    def backward(ctx: Any, dh_TBH: Tensor) -> tuple[Tensor, ...]:
        f_TBH, n_TBH, fh_TBH, h_TBH, h_BH, weight_GH = ctx.saved_tensors
        before_TBH, gate_slope = before(h_BH, h_TBH), f_TBH - f_TBH * f_TBH
        slopes = (
            f_TBH * (1 - n_TBH * n_TBH),
            (n_TBH - before_TBH) * gate_slope,
            before_TBH * gate_slope,
            1 - f_TBH,
        )
        df_TBH, dn_TBH = torch.empty_like(f_TBH), torch.empty_like(n_TBH)
        dh, dfh = dh_TBH[-1].clone(), torch.empty_like(h_BH)
        for_gate, for_new = weight_GH.chunk(2)
        with torch.inference_mode():
            into_n, into_f, through_fh, past = (each.unbind(0) for each in slopes)
            dh_TBH = dh_TBH.contiguous()
            above, gate, df, dn = (each.unbind(0) for each in (dh_TBH, f_TBH, df_TBH, dn_TBH))
            for t in range(len(above) - 1, -1, -1):
                torch.mm(torch.mul(dh, into_n[t], out=dn[t]), for_new, out=dfh)
                torch.mul(dh, into_f[t], out=df[t]).addcmul_(dfh, through_fh[t])
                torch.mul(dh, past[t], out=dh).addcmul_(dfh, gate[t])
                torch.addmm(dh, df[t], for_gate, out=dh)
                if t:
                    dh.add_(above[t - 1])
        dweight = torch.cat([weight_gradient(df_TBH, before_TBH), weight_gradient(dn_TBH, fh_TBH)])
        return df_TBH, dn_TBH, dh, dweight


def run_mgu(x_BTI: Tensor, h_BH: Tensor, weights: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """h_BTH, from W, U and b. The gates are projected apart: whole rows are faster to work on."""
    weight_ih, weight_hh, bias = weights
    parts = zip(weight_ih.chunk(2), bias.chunk(2), strict=True)
    f_TBH, n_TBH = (input_share(x_BTI, weight, part) for weight, part in parts)
    return batch_first(applied(MguSequence, f_TBH, n_TBH, h_BH, weight_hh))
