"""Compiling what can be compiled before anybody waits for it; for a process to call as it starts."""

import threading
import time

from shared.nn.kernels.limits import has_compiler


def warm_up(enough: threading.Event | None = None) -> float:
    """Compile all loops, or read them from disk; returns the seconds that took, 0 without numba.

    Once `enough` is set, no further ones: a process cannot end well within a compilation.
    """
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
        if enough is None or not enough.is_set():
            loops.warm()
    return time.perf_counter() - started
