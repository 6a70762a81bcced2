"""Elman's network over a whole sequence, with its derivative: h_t = g(z_t + U h_{t-1})."""

from collections.abc import Callable
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

IN_PLACE = {"tanh": torch.tanh_, "sigmoid": torch.sigmoid_, "relu": torch.relu_}


SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": lambda h: 1 - h * h,
    "sigmoid": lambda h: h - h * h,
    "relu": lambda h: (h > 0).to(h.dtype),
    "identity": torch.ones_like,
}
"""g' in terms of h = g(z)."""


class ElmanSequence(Function):
    """From z_TBH, h_BH, U and the name of g to h_TBH, which takes the memory of z_TBH."""

    @staticmethod
    def forward(
        ctx: Any, z_TBH: Tensor, h_BH: Tensor, weight_HH: Tensor, activation: str
    ) -> Tensor:
        activate, h, recurrent = IN_PLACE[activation], h_BH, weight_HH.t()
        with torch.inference_mode():
            for z in z_TBH.unbind(0):
                h = activate(torch.addmm(z, h, recurrent, out=z))
        ctx.mark_dirty(z_TBH)
        ctx.save_for_backward(z_TBH, h_BH, weight_HH)
        ctx.activation = activation
        return z_TBH

    @staticmethod
    @by_hand
    def backward(ctx: Any, dh_TBH: Tensor) -> tuple[Tensor | None, ...]:
        h_TBH, h_BH, weight_HH = ctx.saved_tensors
        slope_TBH, dz_TBH = SLOPES[ctx.activation](h_TBH), torch.empty_like(h_TBH)
        dh_TBH = dh_TBH.contiguous()
        dh, scratch = dh_TBH[-1], torch.empty_like(h_BH)
        with torch.inference_mode():
            steps = zip(dh_TBH.unbind(0), slope_TBH.unbind(0), dz_TBH.unbind(0), strict=True)
            above, local, dz = zip(*steps, strict=True)
            for t in range(len(dz) - 1, -1, -1):
                torch.mul(dh, local[t], out=dz[t])
                if t:
                    dh = torch.addmm(above[t - 1], dz[t], weight_HH, out=scratch)
        dweight = weight_gradient(dz_TBH, before(h_BH, h_TBH))
        return dz_TBH, dz_TBH[0] @ weight_HH, dweight, None


def run_elman(
    x_BTI: Tensor, h_BH: Tensor, weights: tuple[Tensor, Tensor, Tensor], activation: str
) -> Tensor:
    """h_BTH, from W, U and b."""
    weight_ih, weight_hh, bias = weights
    z_TBH = input_share(x_BTI, weight_ih, bias)
    return batch_first(applied(ElmanSequence, z_TBH, h_BH, weight_hh, activation))
