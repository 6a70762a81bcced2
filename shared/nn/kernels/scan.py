"""The linear recurrence of the min cells over a whole sequence: h_t = (1 - w_t) ⊙ h_{t-1} + w_t ⊙ n_t."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from shared.nn.kernels.whole import applied, before, by_hand, suits_triton


class Scan(Function):
    """h_TBH from w_TBH, n_TBH and h_BH, one operation a step in each direction."""

    @staticmethod
    def forward(ctx: Any, w_TBH: Tensor, n_TBH: Tensor, h_BH: Tensor) -> Tensor:
        h_TBH, h = torch.empty_like(n_TBH), h_BH
        with torch.inference_mode():
            steps = (each.unbind(0) for each in (n_TBH, w_TBH, h_TBH))
            for n, w, room in zip(*steps, strict=True):
                h = torch.lerp(h, n, w, out=room)
        ctx.save_for_backward(w_TBH, n_TBH, h_TBH, h_BH)
        return h_TBH

    @staticmethod
    @by_hand
    def backward(ctx: Any, dh_TBH: Tensor) -> tuple[Tensor, ...]:
        w_TBH, n_TBH, h_TBH, h_BH = ctx.saved_tensors
        all_dh, kept = torch.empty_like(h_TBH), 1 - w_TBH
        with torch.inference_mode():
            above, past, room = dh_TBH.contiguous().unbind(0), kept.unbind(0), all_dh.unbind(0)
            dh = room[-1].copy_(above[-1])
            for t in range(len(room) - 2, -1, -1):
                dh = torch.addcmul(above[t], dh, past[t + 1], out=room[t])
        return all_dh * (n_TBH - before(h_BH, h_TBH)), all_dh * w_TBH, all_dh[0] * kept[0]


def run_scan(w_TBH: Tensor, n_TBH: Tensor, h_BH: Tensor) -> Tensor:
    """h_TBH by the fastest way there is."""
    if suits_triton(w_TBH, w_TBH):
        from shared.nn.kernels.gpu.scan import run_parallel_scan  # no Triton without CUDA

        return run_parallel_scan(w_TBH, n_TBH, h_BH)
    h_TBH: Tensor = applied(Scan, w_TBH, n_TBH, h_BH)
    return h_TBH
