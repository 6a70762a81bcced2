"""Where compiled kernels run and up to which size they pay; imports no torch, numba or Triton."""

import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Collection
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from shared.nn.spec import MAX_HIDDEN_SIZE, GruSpec, LstmSpec, Spec

PLAIN_LSTM_UP_TO = 256
"""Units. Measured with two threads as a multiple of torch.nn.LSTM (`benchmarks.cells`): 0.54 at 128 and
0.68 at 256 in training, 0.54 and 0.79 without gradients; 1.06 for torch's own kernel at 512."""

FEW_ROWS, MANY_UNITS = 8, 128
"""At most so many rows of at least so many units are faster in torch's own LSTM where nothing has to be
kept for gradients. Measured with one thread over 100 steps of 256 units, as a multiple of the compiled
loop's time: 0.77 for one row, 0.61 for four, 0.78 for eight; of 64 units 0.94, 1.55 and 1.25.

On a CPU with AVX-512 that holds for any batch, as long as no thread has to be woken at each step:
0.54 to 0.99 with one thread over all of 32 to 256 units and 1 to 128 rows, 0.35 to 1.01 with two
that spin, but for one row of up to 64 units, 1.14."""

WALKED_UP_TO = 512
"""Units. Estimated, not measured: a multiprocessor that walks the steps of its rows reads all
recurrent weights at each, some 4 MiB for four gates of this size. At 64 bytes a cycle that takes
50 µs, about as long as a GPU waits for the ten operations of torch that it replaces."""


@cache
def has_triton() -> bool:
    """Whether kernels for a GPU can be compiled.

    torch built for CUDA brings Triton along, and Triton wants a C compiler and Python's headers,
    for what starts its kernels.
    """
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    has_headers = Path(sysconfig.get_path("include"), "Python.h").exists()
    return find_spec("triton") is not None and compiler is not None and has_headers


@cache
def has_compiler() -> bool:
    """Whether numba is there, and a torch that is known to export its BLAS."""
    is_known = sys.platform == "linux" and platform.machine() == "x86_64"
    return is_known and find_spec("numba") is not None


def lstm_compiles_up_to(spec: LstmSpec) -> int:
    """Units up to which compiled loops are the fastest that a CPU has; 0 without a compiler."""
    if not has_compiler():
        return 0
    # torch has no kernel for peepholes, and takes the weights of a gate too many for coupled gates
    return MAX_HIDDEN_SIZE if spec.peephole or spec.coupled_gates else PLAIN_LSTM_UP_TO


def suits_torch(spec: LstmSpec, num_rows: int, num_units: int, *, is_wide: bool) -> bool:
    """Whether torch's own kernel is the fastest without gradients; `is_wide`: it has AVX-512 and
    threads that need not be woken."""
    is_plain = not (spec.peephole or spec.coupled_gates)
    return is_plain and (is_wide or (num_rows <= FEW_ROWS and num_units >= MANY_UNITS))


def threads_sleep() -> bool:
    """Whether OpenMP was told that threads without work sleep at once."""
    return os.environ.get("OMP_WAIT_POLICY", "").lower() == "passive"


def gru_compiles_up_to(spec: GruSpec) -> int:
    """As for the LSTM. Measured as a multiple of torch.nn.GRU: 0.3 at 128, 0.7 at 512 units."""
    return MAX_HIDDEN_SIZE if spec.reset_after and has_compiler() else 0


OPTIONS_IN_LOOPS: dict[type[Spec], frozenset[str]] = {
    LstmSpec: frozenset({"layer_norm", "recurrent_dropout"}),
    GruSpec: frozenset({"recurrent_dropout"}),
}
"""Options of a network that compiled loops of a cell know."""


def options_compile_up_to(cell: Spec, options: Collection[str]) -> int:
    """Units up to which compiled loops run where options act; what else there is, is far slower."""
    if isinstance(cell, GruSpec) and not cell.reset_after:
        return 0
    known = OPTIONS_IN_LOOPS.get(type(cell), frozenset())
    return MAX_HIDDEN_SIZE if has_compiler() and known.issuperset(options) else 0
