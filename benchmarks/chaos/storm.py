"""When what is struck: a worker every two seconds, each server and service at its own moment."""

import random
import time
from collections.abc import Callable

from benchmarks.chaos.service import Service

KILL_EVERY_S = 2.0
TICK_S = 0.05
KILLS = (Service.kill_training, Service.kill_training, Service.kill_group, Service.kill_main)
"""A training process is back at once to be struck again; a whole worker imports torch anew."""

MOMENTS: tuple[tuple[float, Callable[[Service], None]], ...] = (
    (0.15, Service.flush_valkey),
    (0.30, Service.restart_valkey),
    (0.45, lambda service: service.freeze(service.workers[0])),
    (0.60, Service.restart_postgres),
    (0.80, Service.restart_api),
)
"""Shares of the storm's time, and what happens then."""


def rage(service: Service, seconds: float, rng: random.Random) -> None:
    """Strike for so long, starting again at once whatever ended."""
    began, due = time.monotonic(), list(MOMENTS)
    next_kill_s = KILL_EVERY_S
    while (elapsed_s := time.monotonic() - began) < seconds:
        service.tend()
        if due and elapsed_s >= due[0][0] * seconds:
            due.pop(0)[1](service)
        if elapsed_s >= next_kill_s:
            rng.choice(KILLS)(service, rng.choice(service.workers))
            next_kill_s += KILL_EVERY_S
        time.sleep(TICK_S)
