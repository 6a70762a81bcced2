"""Which devices a machine has and which training process gets which; imports no torch, starts no job."""

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise

NAMED = re.compile(r"cuda:(0|[1-9][0-9]{0,3})")
COUNT = "import torch, sys; sys.stdout.write(str(torch.cuda.device_count()))"
COUNT_S = 120.0


class BadDevice(ValueError):
    """A wish for devices that this machine cannot grant."""


def gpus_for(wanted: str, num_gpus: int) -> list[int]:
    """The numbers of the GPUs that `--device` means: `auto`, `cpu`, `cuda` or `cuda:0,cuda:2`.

    Raises:
        BadDevice: it means nothing, or asks for a GPU that is not there.
    """
    if wanted in _GPUS_OF:
        gpus = _GPUS_OF[wanted](num_gpus)
        if wanted == "cuda" and not gpus:
            raise BadDevice("torch finds no GPU here; use --device cpu or auto")
        return gpus
    matches = [NAMED.fullmatch(part.strip()) for part in wanted.split(",")]
    gpus = [int(match[1]) for match in matches if match]
    if len(gpus) < len(matches):
        raise BadDevice(f"--device {wanted!r} is not auto, cpu, cuda or a list as cuda:0,cuda:1")
    if len(set(gpus)) < len(gpus):
        raise BadDevice(f"--device {wanted} names a GPU twice")
    if max(gpus) >= num_gpus:
        raise BadDevice(f"--device {wanted}: torch finds {num_gpus} GPUs here, counted from cuda:0")
    return gpus


_GPUS_OF: dict[str, Callable[[int], list[int]]] = {
    "auto": lambda num_gpus: list(range(num_gpus)),
    "cuda": lambda num_gpus: list(range(num_gpus)),
    "cpu": lambda num_gpus: [],
}


def share_out(gpus: Sequence[int], concurrency: int | None) -> list[list[int]]:
    """The GPUs of each training process, neighbours together; none at all on a CPU.

    Without a number there is one process a GPU, and one on a CPU.

    Raises:
        BadDevice: there are more processes than GPUs.
    """
    num = concurrency or max(1, len(gpus))
    if not gpus:
        return [[] for _ in range(num)]
    if num > len(gpus):
        raise BadDevice(
            f"--concurrency {num} is more than the {len(gpus)} GPUs, which train one job at a time "
            "each; lower it, or use --device cpu"
        )
    each, more = divmod(len(gpus), num)
    starts = [i * each + min(i, more) for i in range(num + 1)]
    return [list(gpus[start:stop]) for start, stop in pairwise(starts)]


def visible(gpus: Sequence[int], already: str | None) -> str:
    """`CUDA_VISIBLE_DEVICES` for these GPUs, out of those that the operator left visible."""
    names = already.split(",") if already else None
    return ",".join(names[gpu].strip() if names else str(gpu) for gpu in gpus)


def count_gpus() -> int:
    """What torch would find, asked in a process that ends again: here no CUDA may start."""
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return 0  # no driver; so the seconds that importing torch takes are spared
    done = subprocess.run(
        [sys.executable, "-c", COUNT], capture_output=True, text=True, timeout=COUNT_S, check=True
    )
    return int(done.stdout)


def process_environment(
    slot: int, gpus: Sequence[int], num_processes: int, name: str
) -> dict[str, str]:
    """What a training process is told before it imports torch."""
    beside = int(os.environ.get("UNROLL_CONCURRENCY", "1"))
    return {
        "CUDA_VISIBLE_DEVICES": visible(gpus, os.environ.get("CUDA_VISIBLE_DEVICES")),
        "UNROLL_CONCURRENCY": str(num_processes * beside),
        "UNROLL_WORKER_NAME": f"{name}.{slot}",
        # threads that spin while they wait are 20 times slower where other processes want the cores
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
    }
