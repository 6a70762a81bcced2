"""Compiling what can be compiled before anybody waits for it; for a process to call as it starts."""

import threading
import time

from shared.nn.kernels.cache_lock import first_at
from shared.nn.kernels.limits import has_compiler

LOOK_S = 0.1


def warm_up(enough: threading.Event | None = None) -> float:
    """Compile all loops, or read them from disk; returns the seconds that took, 0 without numba.

    Processes that begin together share the work: each compiles what no other one is at, and reads
    the rest. Once `enough` is set, no further ones: a process cannot end well within a compilation.
    """
    if not has_compiler():
        return 0.0
    from shared.nn.kernels import (
        compiled,
        gru_compiled,
        lstm_compiled,
        lstm_norm_compiled,
        reset_before_compiled,
        steps_compiled,
    )  # numba takes a second

    started, enough = time.perf_counter(), enough or threading.Event()
    left = [lstm_compiled, lstm_norm_compiled, gru_compiled, reset_before_compiled, steps_compiled]
    while left and not enough.is_set():
        for loops in left:
            with first_at(compiled.add_product, loops.__name__) as is_first:
                if is_first:
                    loops.warm()
                    left.remove(loops)
                    break
        else:
            enough.wait(LOOK_S)
    return time.perf_counter() - started
