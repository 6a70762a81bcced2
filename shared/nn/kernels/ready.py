"""Compiling what can be compiled before anybody waits for it; for a process to call as it starts."""

import math

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
    )  # numba takes a second

    loops = (lstm_compiled, lstm_norm_compiled, gru_compiled, reset_before_compiled)
    return math.fsum(each.warm() for each in loops)
