"""What numba needs to compile loops over time: BLAS and threads of torch's own library, tanh.

Imported only where `limits.has_compiler`. The address of a BLAS routine is an argument of a
compiled loop, so that the loop can be cached on disk. A loop that calls another is cached with it:
after a change here, touch the modules that use it.
"""

import ctypes
import math
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import torch
from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic, overload
from torch import Tensor

from shared.nn.kernels.cache_lock import share_cache

Loop = TypeVar("Loop", bound=Callable[..., Any])
GEMM = {torch.float32: "sgemm_", torch.float64: "dgemm_"}
# No fast arithmetic: with its liberties a loop gives other last bits when it was just compiled than
# when it was read from disk, and a resumed training would not end as one that ran through.
STRICT: dict[str, Any] = {"error_model": "numpy", "nogil": True}
# LLVM vectorises a loop over so many arrays only if it may check that they do not overlap
binding.set_option("unroll", "--runtime-memory-check-threshold=200")


def compiled(loop: Loop) -> Loop:
    """Compiled at its first call and kept on disk, where the disk can be written to."""
    try:
        dispatcher = numba.njit(cache=True, **STRICT)(loop)
    except RuntimeError:  # numba found no directory to write to
        return cast(Loop, numba.njit(**STRICT)(loop))
    share_cache(dispatcher)
    return cast(Loop, dispatcher)


@cache
def torch_library() -> ctypes.CDLL:
    """torch's code for the CPU, with the BLAS and the OpenMP that it uses."""
    folder = Path(torch.__file__).parent / "lib"
    return ctypes.CDLL(str(next(folder.glob("*torch_cpu.*"))))


@cache
def gemm_address(dtype: torch.dtype) -> int:
    """Of the Fortran BLAS routine for this type.

    Raises:
        AttributeError: torch's library does not export one.
    """
    address = ctypes.cast(getattr(torch_library(), GEMM[dtype]), ctypes.c_void_p).value
    assert address is not None
    return address


@intrinsic
def _call_gemm(
    _: Any, address: Any, trans: Any, m: Any, n: Any, k: Any, a: Any, b: Any, beta: Any, c: Any
) -> Any:
    """C (m, n) = A or its transpose (m, k) @ B (k, n) + beta C, column after column."""
    signature = types.void(address, trans, m, n, k, a, b, beta, c)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, trans, m, n, k, a, b, beta, c = arguments
        pointer = ir.IntType(8).as_pointer()

        def place(value: Any) -> Any:
            room = cgutils.alloca_once_value(builder, value)  # type: ignore[no-untyped-call]
            return builder.bitcast(room, pointer)

        no = ir.Constant(ir.IntType(8), ord("N"))
        letter = builder.select(trans, ir.Constant(ir.IntType(8), ord("T")), no)
        one = ir.Constant(beta.type, 1.0)
        leading = builder.select(trans, k, m)
        a, b, c = (builder.inttoptr(each, pointer) for each in (a, b, c))
        parts = (letter, no, m, n, k, one, a, leading, b, k, beta, c, m)
        are_pointers = {id(a), id(b), id(c)}
        call = [part if id(part) in are_pointers else place(part) for part in parts]
        kind = ir.FunctionType(ir.VoidType(), [pointer] * len(call))
        builder.call(builder.inttoptr(address, kind.as_pointer()), call)
        return context.get_dummy_value()

    return signature, generate


@compiled
def add_product(
    gemm: int, transposed: bool, weight_GH: Any, h_BK: Any, beta: Any, out_BM: Any
) -> None:
    """out = h @ weight.T (or h @ weight, when not transposed) + beta · out; rows lie side by side."""
    _call_gemm(  # type: ignore[call-arg]  # numba passes the typing context itself
        gemm,
        transposed,
        numba.int32(out_BM.shape[1]),
        numba.int32(out_BM.shape[0]),
        numba.int32(h_BK.shape[1]),
        weight_GH.ctypes.data,
        h_BK.ctypes.data,
        beta,
        out_BM.ctypes.data,
    )


@compiled
def keep_rows(h_BH: Any, keep_BH: Any, out_BH: Any) -> None:
    """out = h ⊙ keep."""
    for b in range(h_BH.shape[0]):
        row, kept, out = h_BH[b], keep_BH[b], out_BH[b]
        for j in range(h_BH.shape[1]):
            out[j] = row[j] * kept[j]


@compiled
def add_rows(h_BH: Any, out_BH: Any) -> None:
    """out += h."""
    for b in range(h_BH.shape[0]):
        row, out = h_BH[b], out_BH[b]
        for j in range(h_BH.shape[1]):
            out[j] += row[j]


@intrinsic
def fma(_: Any, a: Any, b: Any, c: Any) -> Any:
    """a · b + c, rounded once. LLVM may not make it of two operations while arithmetic is strict."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return a(a, a, a), generate


def tanh(x: Any) -> Any:
    """In compiled loops only."""
    return math.tanh(x)


def sigmoid(x: Any) -> Any:
    """In compiled loops only."""
    return 0.5 + 0.5 * math.tanh(0.5 * x)


@overload(sigmoid, inline="always")
def _sigmoid(x: Any) -> Any:
    half = numba.float32(0.5) if x == types.float32 else 0.5

    def through_tanh(x: Any) -> Any:
        return fma(half, tanh(half * x), half)  # type: ignore[call-arg]

    return through_tanh


@overload(tanh, inline="always")
def _tanh(x: Any) -> Any:
    return _tanh_32 if x == types.float32 else _tanh_64


def _tanh_64(x: Any) -> Any:
    return math.tanh(x)


LIMIT = numba.float32(7.90531110763549805)  # from here on float32 knows only one
NUMERATOR = tuple(
    numba.float32(a)
    for a in (
        4.89352455891786e-03,
        6.37261928875436e-04,
        1.48572235717979e-05,
        5.12229709037114e-08,
        -8.60467152213735e-11,
        2.00018790482477e-13,
        -2.76076847742355e-16,
    )
)
DENOMINATOR = tuple(
    numba.float32(b)
    for b in (
        4.89352518554385e-03,
        2.26843463243900e-03,
        1.18534705686654e-04,
        1.19825839466702e-06,
    )
)


def _tanh_32(x: Any) -> Any:
    """Eigen's quotient of polynomials, right to a few units in the last place; it vectorises."""
    x = min(max(x, -LIMIT), LIMIT)
    y = x * x
    a0, a1, a2, a3, a4, a5, a6 = NUMERATOR
    b0, b1, b2, b3 = DENOMINATOR
    p: Any = fma(y, fma(y, fma(y, a6, a5), a4), a3)  # type: ignore[call-arg]
    p = fma(y, fma(y, fma(y, p, a2), a1), a0)
    q = fma(y, fma(y, fma(y, b3, b2), b1), b0)
    return x * p / q


_Region = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_THREADS_OF = os.getpid()  # a forked process has none of OpenMP's threads, and would wait for them


def over_rows(loop: Callable[[int, int], None], num_rows: int) -> None:
    """Run a loop over shares of the batch, one for each of torch's threads.

    Rows do not meet before the weights' gradients, so that threads have no step to wait for. They
    are OpenMP's own: those spin after an operation of torch, and others would not get a core.
    """
    shares = min(torch.get_num_threads(), num_rows // 2)
    if shares <= 1 or os.getpid() != _THREADS_OF:
        loop(0, num_rows)
        return
    library, failures = torch_library(), []
    ends = [num_rows * share // shares for share in range(shares + 1)]
    taken = iter(range(shares))  # OpenMP may start fewer threads than it is asked for

    def work(_: int) -> None:
        try:
            for share in taken:
                loop(*ends[share : share + 2])
        except BaseException as failure:  # C code between here and the caller cannot pass it on
            failures.append(failure)

    library.GOMP_parallel(_Region(work), None, shares, 0)
    if failures:
        raise failures[0]


def array(tensor: Tensor) -> Any:
    """The tensor's memory as numpy sees it."""
    return tensor.detach().numpy()
