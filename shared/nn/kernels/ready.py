"""Compiling what can be compiled before anybody waits for it; for a process to call as it starts."""

import time

from shared.nn.kernels.limits import has_compiler


def warm_up() -> float:
    """Compile all loops, or read them from disk; returns the seconds that took, 0 without numba."""
    if not has_compiler():
        return 0.0
    from shared.nn.kernels import (
        gru_compiled,
        lstm_compiled,
        lstm_norm_compiled,
        reset_before_compiled,
        steps_compiled,
    )  # numba takes a second

    started = time.perf_counter()
    for loops in (
        lstm_compiled,
        lstm_norm_compiled,
        gru_compiled,
        reset_before_compiled,
        steps_compiled,
    ):
        loops.warm()
    return time.perf_counter() - started
