"""What resets before its recurrent product (GRU, MGU), in compiled loops without derivatives.

Training works with torch's operations, which are as fast there and know the way back; here nothing
is kept for it. Gates and new state are projected apart: rows that a product adds to lie side by side.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from shared.nn.kernels.compiled import (
    add_product,
    array,
    compiled,
    gemm_address,
    over_rows,
    sigmoid,
    tanh,
)
from shared.nn.kernels.whole import batch_first, input_share


@compiled
def _open(gates: Any, h_before: Any, fed: Any) -> None:
    """Gates from what they were given; fed = r ⊙ h, the first gate being r."""
    size = h_before.shape[1]
    for b in range(h_before.shape[0]):
        row, old, out = gates[b], h_before[b], fed[b]
        for j in range(row.shape[0]):
            row[j] = sigmoid(row[j])
        for j in range(size):
            out[j] = row[j] * old[j]


@compiled
def _take(gates: Any, new: Any, h_before: Any, h: Any) -> None:
    """h = h' + z ⊙ (n - h'), the last gate being z."""
    size = h.shape[1]
    for b in range(h.shape[0]):
        z, n, old, out = gates[b][gates.shape[1] - size :], new[b], h_before[b], h[b]
        for j in range(size):
            out[j] = old[j] + z[j] * (tanh(n[j]) - old[j])


@compiled
def _forward(
    gemm: int,
    gates: Any,
    new: Any,
    h_first: Any,
    for_gates: Any,
    for_new: Any,
    fed: Any,
    h: Any,
    b: int,
    e: int,
) -> None:
    """All steps of rows b to e; sliced here, where numba still knows that rows are contiguous."""
    one = h.dtype.type(1)
    h_before, fed_rows = h_first[b:e], fed[b:e]
    for t in range(h.shape[0]):
        gates_rows, new_rows = gates[t, b:e], new[t, b:e]
        add_product(gemm, True, for_gates, h_before, one, gates_rows)
        _open(gates_rows, h_before, fed_rows)
        add_product(gemm, True, for_new, fed_rows, one, new_rows)
        _take(gates_rows, new_rows, h_before, h[t, b:e])
        h_before = h[t, b:e]


def run_reset_before(x_BTI: Tensor, h_BH: Tensor, weights: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """h_BTH without a gradient, from W, U and b of gates r, z, n (GRU) or f, n (MGU)."""
    size = h_BH.shape[1]
    weight_ih, weight_hh, bias = (each.detach() for each in weights)
    gates_TBG = input_share(x_BTI, weight_ih[:-size], bias[:-size])
    new_TBH = input_share(x_BTI, weight_ih[-size:], bias[-size:])
    h_TBH, fed_BH = torch.empty_like(new_TBH), torch.empty_like(new_TBH[0])
    first_BH = h_BH.to(new_TBH.dtype).contiguous()
    given = (gates_TBG, new_TBH, first_BH, weight_hh[:-size], weight_hh[-size:], fed_BH, h_TBH)
    over_rows(partial(_forward, gemm_address(h_TBH.dtype), *map(array, given)), len(h_BH))
    return batch_first(h_TBH)


def warm() -> None:
    """Compile the loops, or read them from disk."""
    run_reset_before(
        torch.zeros(1, 1, 1),
        torch.zeros(1, 1),
        (torch.zeros(2, 1), torch.zeros(2, 1), torch.zeros(2)),
    )
