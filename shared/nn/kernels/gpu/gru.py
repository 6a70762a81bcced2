"""The GRU that resets before its product, and the MGU, over a whole sequence in Triton.

Gate order r, z, n for the one and f, n for the other, whose f stands in the place of both r and z.
Derivatives are those of shared.nn.kernels.gru and mgu, a step at a time.
"""

from typing import Any

import torch
import triton.language as tl
from torch import Tensor
from torch.autograd import Function

from shared.nn.kernels.gpu.walking import (
    for_products,
    jitted,
    multiply,
    own_rows,
    product,
    sigmoid,
    tanh,
    tile,
    walk,
    weight_gradient,
    with_end,
    with_first,
)
from shared.nn.kernels.whole import applied, batch_first, by_hand, input_share


@jitted
def _reset(
    z: tl.tensor,
    h: tl.tensor,
    rh: tl.tensor,
    rows: tl.tensor,
    are_real: tl.tensor,
    H: tl.constexpr,
    GATES: tl.constexpr,
    UNITS: tl.constexpr,
) -> None:
    """All gates but n, and the state that n sees."""
    for first in tl.range(0, H, UNITS, num_stages=1):
        units, inside, at = tile(first, rows, are_real, H, UNITS)
        wide = rows[:, None] * (GATES * H) + units[None, :]
        r = sigmoid(tl.load(z + wide, inside, 0.0))
        if GATES == 3:
            tl.store(z + H + wide, sigmoid(tl.load(z + H + wide, inside, 0.0)), inside)
        tl.store(rh + at, r * tl.load(h + at, inside, 0.0), inside)
        tl.store(z + wide, r, inside)


@jitted
def _renew(
    z: tl.tensor,
    h: tl.tensor,
    h_next: tl.tensor,
    rows: tl.tensor,
    are_real: tl.tensor,
    H: tl.constexpr,
    GATES: tl.constexpr,
    UNITS: tl.constexpr,
) -> None:
    """n, and the next state."""
    for first in tl.range(0, H, UNITS, num_stages=1):
        units, inside, at = tile(first, rows, are_real, H, UNITS)
        update = z + (GATES - 2) * H + rows[:, None] * (GATES * H) + units[None, :]
        n = tanh(tl.load(update + H, inside, 0.0))
        before = tl.load(h + at, inside, 0.0)
        tl.store(h_next + at, before + tl.load(update, inside, 0.0) * (n - before), inside)
        tl.store(update + H, n, inside)


@jitted
def _forward(
    z: tl.tensor,
    h: tl.tensor,
    rh: tl.tensor,
    weight: tl.tensor,
    T: tl.tensor,
    B: tl.tensor,
    H: tl.constexpr,
    GATES: tl.constexpr,
    UNITS: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    """z becomes the gates; h holds the state before the first step and gets the others."""
    G: tl.constexpr = GATES * H
    EARLY: tl.constexpr = G - H
    rows, are_real = own_rows(B)
    for _ in tl.range(0, T, num_stages=1):
        multiply(
            z, z, h, weight, rows, are_real,
            G, H, EARLY, H, H, 1, True, UNITS, PRECISION,
        )  # fmt: skip
        tl.debug_barrier()
        _reset(z, h, rh, rows, are_real, H, GATES, UNITS)
        tl.debug_barrier()
        multiply(
            z + EARLY, z + EARLY, rh, weight + EARLY * H, rows, are_real,
            G, H, H, H, H, 1, True, UNITS, PRECISION,
        )  # fmt: skip
        tl.debug_barrier()
        _renew(z, h, h + B * H, rows, are_real, H, GATES, UNITS)
        tl.debug_barrier()
        z += B * G
        h += B * H
        rh += B * H


@jitted
def _renew_back(
    z: tl.tensor,
    h: tl.tensor,
    above: tl.tensor,
    dh: tl.tensor,
    dz: tl.tensor,
    rows: tl.tensor,
    are_real: tl.tensor,
    H: tl.constexpr,
    GATES: tl.constexpr,
    UNITS: tl.constexpr,
) -> None:
    """dh gets what comes from above; then the derivatives by n, and by z where there is one."""
    for first in tl.range(0, H, UNITS, num_stages=1):
        units, inside, at = tile(first, rows, are_real, H, UNITS)
        update = (GATES - 2) * H + rows[:, None] * (GATES * H) + units[None, :]
        d = tl.load(dh + at, inside, 0.0) + tl.load(above + at, inside, 0.0)
        u = tl.load(z + update, inside, 0.0)
        n = tl.load(z + H + update, inside, 0.0)
        tl.store(dz + H + update, d * u * (1 - n * n), inside)
        if GATES == 3:
            before = tl.load(h + at, inside, 0.0)
            tl.store(dz + update, d * (n - before) * u * (1 - u), inside)
        tl.store(dh + at, d, inside)


@jitted
def _reset_back(
    z: tl.tensor,
    h: tl.tensor,
    dh: tl.tensor,
    drh: tl.tensor,
    dz: tl.tensor,
    rows: tl.tensor,
    are_real: tl.tensor,
    H: tl.constexpr,
    GATES: tl.constexpr,
    UNITS: tl.constexpr,
) -> None:
    """From the derivative by the state that n saw to that by r, or f; dh passes to the state before.

    What goes through the product of the gates is still missing from dh.
    """
    for first in tl.range(0, H, UNITS, num_stages=1):
        units, inside, at = tile(first, rows, are_real, H, UNITS)
        wide = rows[:, None] * (GATES * H) + units[None, :]
        d = tl.load(dh + at, inside, 0.0)
        d_rh = tl.load(drh + at, inside, 0.0)
        before = tl.load(h + at, inside, 0.0)
        r = tl.load(z + wide, inside, 0.0)
        d_r = d_rh * before
        if GATES == 3:
            u = tl.load(z + H + wide, inside, 0.0)
        else:
            u = r
            d_r += d * (tl.load(z + H + wide, inside, 0.0) - before)
        tl.store(dz + wide, d_r * r * (1 - r), inside)
        tl.store(dh + at, d * (1 - u) + d_rh * r, inside)


@jitted
def _backward(
    z: tl.tensor,
    h: tl.tensor,
    above: tl.tensor,
    dh: tl.tensor,
    drh: tl.tensor,
    dz: tl.tensor,
    weight: tl.tensor,
    T: tl.tensor,
    B: tl.tensor,
    H: tl.constexpr,
    GATES: tl.constexpr,
    UNITS: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    """The last step first; dh ends as that of the first state, but for the product of its gates."""
    G: tl.constexpr = GATES * H
    EARLY: tl.constexpr = G - H
    rows, are_real = own_rows(B)
    last = tl.cast(T - 1, tl.int64) * B
    z, dz, h, above = z + last * G, dz + last * G, h + last * H, above + last * H
    for _ in tl.range(0, T, num_stages=1):
        multiply(
            dh, dh, dz + B * G, weight, rows, are_real,
            H, G, H, EARLY, 1, H, True, UNITS, PRECISION,
        )  # fmt: skip
        tl.debug_barrier()
        _renew_back(z, h, above, dh, dz, rows, are_real, H, GATES, UNITS)
        tl.debug_barrier()
        multiply(
            drh, drh, dz + EARLY, weight + EARLY * H, rows, are_real,
            H, G, H, H, 1, H, False, UNITS, PRECISION,
        )  # fmt: skip
        tl.debug_barrier()
        _reset_back(z, h, dh, drh, dz, rows, are_real, H, GATES, UNITS)
        tl.debug_barrier()
        z -= B * G
        dz -= B * G
        h -= B * H
        above -= B * H


class WalkedSequence(Function):
    """From z_TBG, h_BH and U to h_TBH. Writes on z_TBG."""

    @staticmethod
    def forward(ctx: Any, z_TBG: Tensor, h_BH: Tensor, weight_GH: Tensor) -> Tensor:
        (T, B, G), H = z_TBG.shape, h_BH.shape[1]
        weight = for_products(weight_GH)
        h, rh = with_first(h_BH, T), z_TBG.new_empty(T, B, H)

        walk(_forward, B, H, z_TBG, h, rh, weight, T, B, GATES=G // H)
        ctx.save_for_backward(z_TBG, h, rh, weight)
        return h[1:]

    @staticmethod
    @by_hand
    def backward(ctx: Any, dh_TBH: Tensor) -> tuple[Tensor, ...]:
        gates, h, rh, weight = ctx.saved_tensors
        (T, B, G), H = gates.shape, h.shape[2]
        dh, drh, dz = torch.zeros_like(h[0]), torch.empty_like(h[0]), with_end(gates)
        above, early, dtype = dh_TBH.contiguous(), G - H, weight.dtype

        walk(_backward, B, H, gates, h, above, dh, drh, dz, weight, T, B, GATES=G // H)
        dz_TBG = dz[:-1]
        dh += product(dz_TBG[0, :, :early], weight[:early], dtype)
        dweight = torch.cat(
            [
                weight_gradient(dz_TBG[:, :, :early], h[:-1], dtype),
                weight_gradient(dz_TBG[:, :, early:], rh, dtype),
            ]
        )
        return dz_TBG, dh, dweight


def run_walked_gru(x_BTI: Tensor, h_BH: Tensor, weights: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """h_BTH in float32, from W, U and b; two gates are an MGU's."""
    weight_ih, weight_hh, bias = weights
    z_TBG = input_share(x_BTI, weight_ih, bias)
    return batch_first(applied(WalkedSequence, z_TBG, h_BH, weight_hh))
