"""What our Triton kernels share: a program owns rows of the batch and walks all steps by itself.

Rows never meet inside a sequence, so no program waits for another. A step is a chain of products
and of arithmetic over whole rows; what one hands to the next goes through global memory and a
barrier, after which every warp of the program sees it. Weights stream from the second-level cache,
tile by tile. Imported only where `limits.has_triton`.

What an interpreter does not check, and every kernel here keeps to:
- a loop over steps has one stage, lest something be fetched before the barrier ahead of it;
- a tile holds at least four numbers for each thread, so that no number is held twice, and a thread
  may overwrite what it read, but nothing that another read since the last barrier;
- offsets inside a step fit 32 bits, those of a step do not: pointers move instead.

No tile size is tuned at run time: another size sums in another order, and a resumed training would
not end as one that ran through.

Legend: T time, B batch, H hidden, G rows of gates; ROWS, UNITS, INNER the sides of a product's tiles.
"""

from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS = tl.constexpr(16)  # the fewest that a tensor core multiplies
WIDE = 128
# Three tiles of a state and of weights in float32 on their way: 54 KiB of shared memory, which
# every card since Turing has.
INNER, STAGES = tl.constexpr(32), tl.constexpr(4)


def jitted(function: Callable[..., Any]) -> Any:
    """A kernel, or a function of one; not compiled anew for other numbers of steps and rows."""
    counts = [name for name in ("T", "B") if name in function.__code__.co_varnames]
    return triton.jit(function, do_not_specialize=counts)


@jitted
def sigmoid(x: tl.tensor) -> tl.tensor:
    return 1 / (1 + tl.exp(-x))


@jitted
def tanh(x: tl.tensor) -> tl.tensor:
    """By the exponential alone, right to 1e-7: the library's tanh has no interpreter."""
    return 2 / (1 + tl.exp(-2 * x)) - 1


@jitted
def activated(z: tl.tensor, NAME: tl.constexpr) -> tl.tensor:
    if NAME == "tanh":
        z = tanh(z)
    elif NAME == "sigmoid":
        z = sigmoid(z)
    elif NAME == "relu":
        z = tl.where(z < 0, 0.0, z)  # NaN stays NaN
    return z


@jitted
def slope(h: tl.tensor, NAME: tl.constexpr) -> tl.tensor:
    """Derivative of an activation in terms of its result."""
    d = h * 0 + 1
    if NAME == "tanh":
        d = 1 - h * h
    elif NAME == "sigmoid":
        d = h - h * h
    elif NAME == "relu":
        d = tl.where(h > 0, 1.0, 0.0)
    return d


@jitted
def own_rows(B: tl.tensor) -> tl.tensor:
    """The program's rows of a batch, and which of them there are."""
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    return rows, rows < B


@jitted
def tile(
    first: tl.tensor, rows: tl.tensor, are_real: tl.tensor, N: tl.constexpr, UNITS: tl.constexpr
) -> tl.tensor:
    """Units from the first on, which numbers of the tile there are, and where, in rows of N."""
    units = first + tl.arange(0, UNITS)
    inside = are_real[:, None] & (units < N)[None, :]
    return units, inside, rows[:, None] * N + units[None, :]


@jitted
def multiply(
    out: tl.tensor,
    more: tl.tensor,
    left: tl.tensor,
    weight: tl.tensor,
    rows: tl.tensor,
    are_real: tl.tensor,
    WIDTH: tl.constexpr,
    LEFT: tl.constexpr,
    N: tl.constexpr,
    K: tl.constexpr,
    ACROSS: tl.constexpr,
    DOWN: tl.constexpr,
    ADDS: tl.constexpr,
    UNITS: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    """out = left @ weight, plus `more` if ADDS, for the program's rows; `out` may be `more`.

    Rows of `out` and `more` are WIDTH long and those of `left` LEFT, of which N and K take part.
    `weight` is (K, N) with the next column ACROSS numbers away and the next row DOWN.
    """
    for first in tl.range(0, N, UNITS, num_stages=1):
        units, inside, _ = tile(first, rows, are_real, N, UNITS)
        at = rows[:, None] * WIDTH + units[None, :]
        total = tl.zeros((ROWS, UNITS), tl.float32)
        for start in tl.range(0, K, INNER, num_stages=STAGES):
            k = start + tl.arange(0, INNER)
            is_weight = (k < K)[:, None] & (units < N)[None, :]
            part = tl.load(weight + k[:, None] * DOWN + units[None, :] * ACROSS, is_weight, 0.0)
            is_left = are_real[:, None] & (k < K)[None, :]
            shown = tl.load(left + rows[:, None] * LEFT + k[None, :], is_left, 0.0)
            total = tl.dot(shown.to(part.dtype), part, total, input_precision=PRECISION)
        if ADDS:
            total += tl.load(more + at, inside, 0.0)
        tl.store(out + at, total, inside)


def for_products(weight: Tensor) -> Tensor:
    """Weights in the type that recurrent products multiply in, which is autocast's where it is on."""
    kind = weight.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
    return weight.to(dtype).contiguous()


def precision() -> str:
    """Of products in float32, as torch is set; three products of TF32 carry float32's digits."""
    return "tf32" if torch.backends.cuda.matmul.fp32_precision == "tf32" else "tf32x3"


def tiles(units: int) -> dict[str, int]:
    """How wide tiles are, and warps: one for every 16 units, on which a tensor core has two products."""
    side = WIDE if units > WIDE // 2 else WIDE // 2
    return {"UNITS": side, "num_warps": side // 16}


def walk(kernel: Any, num_rows: int, units: int, *arguments: Any, **options: Any) -> None:
    """One program for each tile of rows, on the device of the first tensor."""
    constants = {"H": units, "PRECISION": precision(), **tiles(units), **options}
    with torch.cuda.device_of(arguments[0]):
        kernel[(triton.cdiv(num_rows, ROWS.value),)](*arguments, **constants)


def with_first(first_BH: Tensor, num_steps: int) -> Tensor:
    """Room (T + 1, B, H) for a state before and after every step, the first one filled in."""
    room = first_BH.new_empty(num_steps + 1, *first_BH.shape)
    room[0] = first_BH
    return room


def with_end(like_TBG: Tensor) -> Tensor:
    """Room (T + 1, B, G) for derivatives; after the last step, nothing comes back."""
    num_steps, *rest = like_TBG.shape
    room = like_TBG.new_empty(num_steps + 1, *rest)
    room[-1] = 0
    return room


def product(left: Tensor, right: Tensor, dtype: torch.dtype) -> Tensor:
    """In float32, multiplied as the recurrent products were."""
    return (left.to(dtype) @ right.to(dtype)).float()


def weight_gradient(dz_TBG: Tensor, h_TBH: Tensor, dtype: torch.dtype) -> Tensor:
    """Of weights that were applied to `h_TBH` at every step: one product for all of them."""
    return product(dz_TBG.flatten(0, 1).t(), h_TBH.flatten(0, 1), dtype)
