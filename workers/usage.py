"""What a worker tells of its memory and its GPUs, for people to look at; nothing decides by it.

What a machine does not tell is left out, and never an error.
"""

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

PROC = Path("/proc")
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")  # holds a number of bytes, or `max`
DRIVER = "libnvidia-ml.so.1"


class Usage:
    """Bytes in use and in all, of this process with those that it started, and of its GPUs."""

    def __init__(self, uuids: Sequence[str] = ()) -> None:
        self.total = _total()
        self.gpus = _handles(uuids)

    def read(self) -> dict[str, Any] | None:
        """`memory_used` and `memory_total`; with GPUs the same of these, and how busy they are.

        None where the machine tells nothing.
        """
        found: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            found["memory_used"] = sum(map(_resident, _family(os.getpid())))
            found["memory_total"] = self.total
        readings = [reading for reading in map(_reading, self.gpus) if reading]
        if readings:
            used, total, busy = map(sum, zip(*readings, strict=True))
            found |= {"gpu_memory_used": used, "gpu_memory_total": total}
            found["gpu_busy"] = busy / len(readings) / 100
        return found or None


def _total() -> int:
    """What this process may fill: the machine's memory, or less where a container is held to it."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):
        return min(machine, int(CGROUP_LIMIT.read_text()))
    return machine


def _family(pid: int) -> Iterator[int]:
    """A process and all that came from it."""
    yield pid
    with suppress(OSError):  # it may have ended just now
        for children in (PROC / str(pid) / "task").glob("*/children"):
            for child in children.read_text().split():
                yield from _family(int(child))


def _resident(pid: int) -> int:
    try:
        pages = (PROC / str(pid) / "statm").read_text().split()[1]
    except OSError:
        if pid == os.getpid():
            raise
        return 0  # it has ended
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def gpu_uuids() -> list[str]:
    """Of the GPUs that this process sees; asked in the child alone."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [f"GPU-{torch.cuda.get_device_properties(each).uuid}" for each in range(count)]


# The driver's own library, by which nvidia-smi reads too: it needs no context on the GPU, and sees
# what all processes of a job hold there.


class _Memory(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in ("total", "free", "used")]


class _Rates(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint) for name in ("gpu", "memory")]


def _handles(uuids: Sequence[str]) -> list[tuple[ctypes.CDLL, ctypes.c_void_p]]:
    """What the driver knows the GPUs by; none for what it cannot measure, as parts of a GPU."""
    if not uuids:
        return []
    try:
        nvml = ctypes.CDLL(DRIVER)
    except OSError:
        return []
    if nvml.nvmlInit_v2() != 0:
        return []
    handles = [(ctypes.c_void_p(), uuid.encode()) for uuid in uuids]
    return [
        (nvml, handle)
        for handle, uuid in handles
        if nvml.nvmlDeviceGetHandleByUUID(uuid, ctypes.byref(handle)) == 0
    ]


def _reading(gpu: tuple[ctypes.CDLL, ctypes.c_void_p]) -> tuple[int, int, int] | None:
    """Bytes used, bytes in all, and percent of the last moments in which it was busy."""
    (nvml, handle), memory, rates = gpu, _Memory(), _Rates()
    if nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) != 0:
        return None
    if nvml.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(rates)) != 0:
        return None
    return memory.used, memory.total, rates.gpu
