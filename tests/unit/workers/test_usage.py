"""What a worker tells of its memory and GPUs; the driver's library is played."""

import ctypes
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from workers import usage
from workers.usage import Usage

READY = "import sys; held = bytearray(30_000_000); print('ready', flush=True); sys.stdin.read()"


def handle_of(uuid: bytes, handle: Any) -> int:
    handle._obj.value = int(uuid.removeprefix(b"GPU-"))
    return int(handle._obj.value > 2)


def memory_of(handle: ctypes.c_void_p, found: Any) -> int:
    found._obj.total, found._obj.used = 80, 20 * (handle.value or 0)
    return 0


def rates_of(handle: ctypes.c_void_p, found: Any) -> int:
    found._obj.gpu = 30 * (handle.value or 0)
    return 0


def driver(path: str) -> SimpleNamespace:
    """Of two GPUs of 80 bytes, 20 and 40 of them used; a third is none that it knows."""
    assert path == "libnvidia-ml.so.1"
    return SimpleNamespace(
        nvmlInit_v2=lambda: 0,
        nvmlDeviceGetHandleByUUID=handle_of,
        nvmlDeviceGetMemoryInfo=memory_of,
        nvmlDeviceGetUtilizationRates=rates_of,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="no other system tells")
def test_memory_is_that_of_the_process_and_of_those_that_it_started() -> None:
    alone = Usage().read()
    child = subprocess.Popen(
        [sys.executable, "-c", READY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        both = Usage().read()
        child.kill()

    assert alone is not None
    assert both is not None
    assert both["memory_used"] > alone["memory_used"] + 25_000_000
    assert 0 < alone["memory_used"] < alone["memory_total"]
    assert "gpu_busy" not in alone


def test_gpus_are_told_of_all_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage.ctypes, "CDLL", driver)

    found = Usage(["GPU-1", "GPU-2", "GPU-3"]).read()

    assert found is not None
    assert (found["gpu_memory_used"], found["gpu_memory_total"]) == (60, 160)
    assert found["gpu_busy"] == pytest.approx(0.45)


def test_without_a_driver_nothing_is_told_of_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: str) -> None:
        raise OSError(path)

    monkeypatch.setattr(usage.ctypes, "CDLL", missing)

    found = Usage(["GPU-1"]).read() or {}

    assert "gpu_memory_used" not in found
