"""Jordan's network over a whole sequence in Triton: h_t = g(z_t + U y_{t-1}), y_t = k(V h_t + d)."""

from typing import Any

import torch
import triton.language as tl
from torch import Tensor
from torch.autograd import Function

from shared.nn.kernels.gpu.walking import (
    activated,
    for_products,
    jitted,
    multiply,
    own_rows,
    product,
    slope,
    tile,
    walk,
    weight_gradient,
    with_end,
    with_first,
)
from shared.nn.kernels.whole import applied, batch_first, by_hand, input_share


@jitted
def _activate(
    z: tl.tensor,
    rows: tl.tensor,
    are_real: tl.tensor,
    H: tl.constexpr,
    NAME: tl.constexpr,
    UNITS: tl.constexpr,
) -> None:
    for first in tl.range(0, H, UNITS, num_stages=1):
        _, inside, at = tile(first, rows, are_real, H, UNITS)
        tl.store(z + at, activated(tl.load(z + at, inside, 0.0), NAME), inside)


@jitted
def _activate_back(
    h: tl.tensor,
    dh: tl.tensor,
    dz: tl.tensor,
    rows: tl.tensor,
    are_real: tl.tensor,
    H: tl.constexpr,
    NAME: tl.constexpr,
    UNITS: tl.constexpr,
) -> None:
    for first in tl.range(0, H, UNITS, num_stages=1):
        _, inside, at = tile(first, rows, are_real, H, UNITS)
        local = slope(tl.load(h + at, inside, 0.0), NAME)
        tl.store(dz + at, tl.load(dh + at, inside, 0.0) * local, inside)


@jitted
def _forward(
    h: tl.tensor,
    y: tl.tensor,
    weight_hh: tl.tensor,
    weight_ho: tl.tensor,
    T: tl.tensor,
    B: tl.tensor,
    H: tl.constexpr,
    HIDDEN: tl.constexpr,
    SHOWN: tl.constexpr,
    UNITS: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    """h holds z; y holds the output before the first step, and d in the place of the others."""
    rows, are_real = own_rows(B)
    for _ in tl.range(0, T, num_stages=1):
        multiply(
            h, h, y, weight_hh, rows, are_real,
            H, H, H, H, H, 1, True, UNITS, PRECISION,
        )  # fmt: skip
        tl.debug_barrier()
        _activate(h, rows, are_real, H, HIDDEN, UNITS)
        tl.debug_barrier()
        y += B * H
        multiply(
            y, y, h, weight_ho, rows, are_real,
            H, H, H, H, H, 1, True, UNITS, PRECISION,
        )  # fmt: skip
        tl.debug_barrier()
        _activate(y, rows, are_real, H, SHOWN, UNITS)
        tl.debug_barrier()
        h += B * H


@jitted
def _backward(
    h: tl.tensor,
    y: tl.tensor,
    above: tl.tensor,
    dy: tl.tensor,
    dz: tl.tensor,
    dv: tl.tensor,
    weight_hh: tl.tensor,
    weight_ho: tl.tensor,
    T: tl.tensor,
    B: tl.tensor,
    H: tl.constexpr,
    HIDDEN: tl.constexpr,
    SHOWN: tl.constexpr,
    UNITS: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    """The last step first; dy is room for one step, dv the derivative by V h + d."""
    rows, are_real = own_rows(B)
    last = tl.cast(T - 1, tl.int64) * B * H
    h, y, above, dz, dv = h + last, y + last, above + last, dz + last, dv + last
    for _ in tl.range(0, T, num_stages=1):
        multiply(
            dy, above, dz + B * H, weight_hh, rows, are_real,
            H, H, H, H, 1, H, True, UNITS, PRECISION,
        )  # fmt: skip
        tl.debug_barrier()
        _activate_back(y, dy, dv, rows, are_real, H, SHOWN, UNITS)
        tl.debug_barrier()
        multiply(
            dy, dy, dv, weight_ho, rows, are_real,
            H, H, H, H, 1, H, False, UNITS, PRECISION,
        )  # fmt: skip
        tl.debug_barrier()
        _activate_back(h, dy, dz, rows, are_real, H, HIDDEN, UNITS)
        tl.debug_barrier()
        h -= B * H
        y -= B * H
        above -= B * H
        dz -= B * H
        dv -= B * H


class WalkedSequence(Function):
    """From z_TBH, y_BH, U, V, d and the names of g and k to y_TBH. Writes on z_TBH."""

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
        T, B, H = z_TBH.shape
        weights = (for_products(weight_hh), for_products(weight_ho))
        names = dict(zip(("HIDDEN", "SHOWN"), activations, strict=True))
        y = with_first(y_BH, T)
        y[1:] = bias_ho

        walk(_forward, B, H, z_TBH, y, *weights, T, B, **names)
        ctx.save_for_backward(z_TBH, y, *weights)
        ctx.names = names
        return y[1:]

    @staticmethod
    @by_hand
    def backward(ctx: Any, dy_TBH: Tensor) -> tuple[Tensor | None, ...]:
        h_TBH, y, weight_hh, weight_ho = ctx.saved_tensors
        (T, B, H), dtype = h_TBH.shape, weight_hh.dtype
        dy, dz, dv_TBH = torch.empty_like(y[0]), with_end(h_TBH), torch.empty_like(h_TBH)
        arguments = (h_TBH, y[1:], dy_TBH.contiguous(), dy, dz, dv_TBH, weight_hh, weight_ho)

        walk(_backward, B, H, *arguments, T, B, **ctx.names)
        dz_TBH = dz[:-1]
        return (
            dz_TBH,
            product(dz_TBH[0], weight_hh, dtype),
            weight_gradient(dz_TBH, y[:-1], dtype),
            weight_gradient(dv_TBH, h_TBH, dtype),
            dv_TBH.sum((0, 1)),
            None,
        )


def run_walked_jordan(
    x_BTI: Tensor, y_BH: Tensor, weights: tuple[Tensor, ...], activations: tuple[str, str]
) -> Tensor:
    """y_BTH in float32, from W, U, b, V and d."""
    weight_ih, weight_hh, bias, weight_ho, bias_ho = weights
    z_TBH = input_share(x_BTI, weight_ih, bias)
    own = (weight_hh, weight_ho, bias_ho, activations)
    return batch_first(applied(WalkedSequence, z_TBH, y_BH, *own))
