"""The linear recurrence of the min cells as a parallel scan in Triton: h_t = (1 - w_t) h_{t-1} + w_t n_t.

A step maps h to a h + b, and so do two steps together: a program scans a chunk of steps for some
rows' units at once, and goes from chunk to chunk with nothing but the last state. N counts units
of all rows, which never meet.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd import Function

from shared.nn.kernels.gpu.walking import jitted, with_first
from shared.nn.kernels.whole import applied, by_hand

SHAPE = {"STEPS": 32, "UNITS": 32, "num_warps": 4}


@jitted
def _after(a: tl.tensor, b: tl.tensor, a_next: tl.tensor, b_next: tl.tensor) -> tl.tensor:
    """Two steps as one."""
    return a * a_next, b * a_next + b_next


@jitted
def _forward(
    w: tl.tensor,
    n: tl.tensor,
    h: tl.tensor,
    T: tl.tensor,
    N: tl.tensor,
    STEPS: tl.constexpr,
    UNITS: tl.constexpr,
) -> None:
    """h holds the state before the first step and gets the others."""
    units = tl.program_id(0) * UNITS + tl.arange(0, UNITS)
    steps = tl.arange(0, STEPS)
    at = steps[:, None].to(tl.int64) * N + units[None, :]
    state = tl.load(h + units, units < N, 0.0)
    h += N
    for start in tl.range(0, T, STEPS, num_stages=1):
        inside = (steps < T - start)[:, None] & (units < N)[None, :]
        w_at = tl.load(w + at, inside, 0.0)  # after the end the state stays as it is
        a, b = tl.associative_scan((1 - w_at, w_at * tl.load(n + at, inside, 0.0)), 0, _after)
        all_h = a * state[None, :] + b
        tl.store(h + at, all_h, inside)
        state = tl.sum(tl.where((steps == STEPS - 1)[:, None], all_h, 0.0), 0)
        at += STEPS * tl.cast(N, tl.int64)


@jitted
def _backward(
    w: tl.tensor,
    n: tl.tensor,
    h: tl.tensor,
    above: tl.tensor,
    dw: tl.tensor,
    dn: tl.tensor,
    dh: tl.tensor,
    T: tl.tensor,
    N: tl.tensor,
    STEPS: tl.constexpr,
    UNITS: tl.constexpr,
) -> None:
    """The last chunk first. What comes back to a state, d, goes on to the one before as (1 - w) d."""
    units = tl.program_id(0) * UNITS + tl.arange(0, UNITS)
    steps = tl.arange(0, STEPS)
    chunks = tl.cdiv(T, STEPS)
    at = (steps[:, None] + (chunks - 1) * STEPS).to(tl.int64) * N + units[None, :]
    late = tl.zeros((UNITS,), tl.float32)
    for done in tl.range(0, chunks, num_stages=1):
        left = T - (chunks - 1 - done) * STEPS  # steps from the chunk's first to the end
        inside = (steps < left)[:, None] & (units < N)[None, :]
        follows = (steps < left - 1)[:, None] & (units < N)[None, :]
        # each step's d from the next one's; the chunk's last takes it from the chunk after
        kept = 1 - tl.load(w + N + at, follows, 1.0)
        d_above = tl.load(above + at, inside, 0.0)
        a, b = tl.associative_scan((kept, d_above), 0, _after, reverse=True)
        d = a * late[None, :] + b
        w_at = tl.load(w + at, inside, 0.0)
        n_at = tl.load(n + at, inside, 0.0)
        tl.store(dw + at, d * (n_at - tl.load(h + at, inside, 0.0)), inside)
        tl.store(dn + at, d * w_at, inside)
        late = tl.sum(tl.where((steps == 0)[:, None], d, 0.0), 0)
        at -= STEPS * tl.cast(N, tl.int64)
    tl.store(dh + units, late * (1 - tl.load(w + units, units < N, 0.0)), units < N)


def _scan(kernel: Any, num_steps: int, num_units: int, *tensors: Tensor) -> None:
    grid = (triton.cdiv(num_units, SHAPE["UNITS"]),)
    with torch.cuda.device_of(tensors[0]):
        kernel[grid](*tensors, num_steps, num_units, **SHAPE)


class ParallelScan(Function):
    """h_TBH from w_TBH, n_TBH and h_BH."""

    @staticmethod
    def forward(ctx: Any, w_TBH: Tensor, n_TBH: Tensor, h_BH: Tensor) -> Tensor:
        w_TBH, n_TBH, h = w_TBH.contiguous(), n_TBH.contiguous(), with_first(h_BH, len(w_TBH))

        _scan(_forward, len(w_TBH), h_BH.numel(), w_TBH, n_TBH, h)
        ctx.save_for_backward(w_TBH, n_TBH, h)
        return h[1:]

    @staticmethod
    @by_hand
    def backward(ctx: Any, dh_TBH: Tensor) -> tuple[Tensor, ...]:
        w_TBH, n_TBH, h = ctx.saved_tensors
        dw, dn, dh = torch.empty_like(w_TBH), torch.empty_like(n_TBH), torch.empty_like(h[0])
        tensors = (w_TBH, n_TBH, h, dh_TBH.contiguous(), dw, dn, dh)

        _scan(_backward, len(w_TBH), dh.numel(), *tensors)
        return dw, dn, dh


def run_parallel_scan(w_TBH: Tensor, n_TBH: Tensor, h_BH: Tensor) -> Tensor:
    h_TBH: Tensor = applied(ParallelScan, w_TBH, n_TBH, h_BH)
    return h_TBH
