"""Jordan's network over a whole sequence: h_t = g(z_t + U y_{t-1}), y_t = k(V h_t + d)."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from shared.nn.kernels.elman import IN_PLACE, SLOPES
from shared.nn.kernels.whole import (
    applied,
    batch_first,
    before,
    by_hand,
    input_share,
    weight_gradient,
)


class JordanSequence(Function):
    """From z_TBH, y_BH, U, V, d and the names of g and k to y_TBH."""

    @staticmethod
    def forward(
        ctx: Any,
        z_TBH: Tensor,
        y_BH: Tensor,
        weight_hh: Tensor,
        weight_ho: Tensor,
        bias_ho: Tensor,
        activations: tuple[str, str],
    ) -> Tensor:
        hidden, shown = IN_PLACE[activations[0]], IN_PLACE.get(activations[1])
        y_TBH, y, recurrent, out = torch.empty_like(z_TBH), y_BH, weight_hh.t(), weight_ho.t()
        with torch.inference_mode():
            for z, room in zip(z_TBH.unbind(0), y_TBH.unbind(0), strict=True):
                h = hidden(torch.addmm(z, y, recurrent, out=z))
                y = torch.addmm(bias_ho, h, out, out=room)
                if shown is not None:
                    shown(y)
        ctx.save_for_backward(z_TBH, y_TBH, y_BH, weight_hh, weight_ho)
        ctx.activations = activations
        return y_TBH

    @staticmethod
    @by_hand
    def backward(ctx: Any, dy_TBH: Tensor) -> tuple[Tensor | None, ...]:
        h_TBH, y_TBH, y_BH, weight_hh, weight_ho = ctx.saved_tensors
        hidden_slope, shown_slope = (SLOPES[name] for name in ctx.activations)
        slopes = (hidden_slope(h_TBH), shown_slope(y_TBH))
        dz_TBH, dv_TBH = torch.empty_like(h_TBH), torch.empty_like(h_TBH)
        dy_TBH = dy_TBH.contiguous()
        dy, dh, scratch = dy_TBH[-1], torch.empty_like(y_BH), torch.empty_like(y_BH)
        with torch.inference_mode():
            above, dz, dv = dy_TBH.unbind(0), dz_TBH.unbind(0), dv_TBH.unbind(0)
            hidden, shown = (each.unbind(0) for each in slopes)
            for t in range(len(dz) - 1, -1, -1):
                torch.mul(dy, shown[t], out=dv[t])
                torch.mul(torch.mm(dv[t], weight_ho, out=dh), hidden[t], out=dz[t])
                if t:
                    dy = torch.addmm(above[t - 1], dz[t], weight_hh, out=scratch)
        return (
            dz_TBH,
            dz_TBH[0] @ weight_hh,
            weight_gradient(dz_TBH, before(y_BH, y_TBH)),
            weight_gradient(dv_TBH, h_TBH),
            dv_TBH.sum((0, 1)),
            None,
        )


def run_jordan(
    x_BTI: Tensor, y_BH: Tensor, weights: tuple[Tensor, ...], activations: tuple[str, str]
) -> Tensor:
    """y_BTH, from W, U, b, V and d."""
    weight_ih, weight_hh, bias, weight_ho, bias_ho = weights
    z_TBH = input_share(x_BTI, weight_ih, bias)
    return batch_first(
        applied(JordanSequence, z_TBH, y_BH, weight_hh, weight_ho, bias_ho, activations)
    )
