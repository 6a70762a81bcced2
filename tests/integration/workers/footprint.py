"""`python -m tests.integration.workers.footprint`: memory that a large checkpoint takes on its way.

Trains the queued job in two attempts and loads what it published; each line it prints is a stage
and the bytes by which this process grew at the most while the stage lasted.
"""

import ctypes
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from services.inference.registry import load
from shared.db.engine import transaction
from shared.db.models import ModelStore
from shared.logging import configure_logging
from workers import lease, runner
from workers.lease import Heart
from workers.saver import Saver

torch.set_num_threads(1)
KIB = 1024


def resident(kind: str, pid: int | str = "self") -> int:
    """`VmRSS` (now) or `VmHWM` (the most) of a process, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(kind):
            return int(line.split()[1]) * KIB
    raise LookupError(kind)


def forget_peak(pid: int | str = "self") -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def say(stage: str, num_bytes: int) -> None:
    sys.stdout.write(f"{stage} {num_bytes}\n")


def measured(stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """The same work; it says by how much memory grew."""

    def run(*args: Any, **options: Any) -> Any:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # else freed memory would hide what is taken anew
        before = resident("VmRSS")
        forget_peak()
        result = work(*args, **options)
        say(stage, resident("VmHWM") - before)
        return result

    return run


def main() -> None:
    configure_logging("INFO", as_json=True)  # on stderr: stdout has the stages alone
    heart = Heart("worker", "cpu")
    heart.start()
    setattr(Saver, "save", measured("save", Saver.save))  # noqa: B010
    setattr(Saver, "resume", measured("resume", Saver.resume))  # noqa: B010
    setattr(runner, "unpack_into", measured("finish", runner.unpack_into))  # noqa: B010
    for is_draining in (True, False):  # handed back after its first step, then taken to its end
        setattr(lease, "is_draining", lambda asked=is_draining: asked)  # noqa: B010
        runner.run_next(heart)
    heart.stopped.set()
    gc.collect()
    with transaction() as db:
        row = ModelStore(db).version("large")
    model = measured("load", load)(row)
    say("weights", model.num_bytes)


if __name__ == "__main__":
    main()
