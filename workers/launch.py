"""Several processes for one job: started by torch's elastic launcher, watched, and never left over."""

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from shared.db.tables import JobRow
from shared.jobs.errors import ErrorClass
from shared.jobs.spec import JobSpec
from shared.logging import get_logger
from workers.drain import is_draining
from workers.lease import Heart, Lease
from workers.plan import JobFailed, choose_device
from workers.ranks_folder import FAULTY, RanksFolder, RanksOrder

log = get_logger(__name__)
LAUNCHER_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
ENVIRONMENT = {
    # all processes are on this machine: nothing of theirs listens where others could reach it
    "GLOO_SOCKET_IFNAME": LOOPBACK,
    "NCCL_SOCKET_IFNAME": LOOPBACK,
    "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
}
DRAIN_EVERY_S = 0.2
SPOKEN = (FAULTY, -signal.SIGTERM)  # exit codes: it said why, or was ended because another had
SHUTDOWN_S = 5  # from the death of one process until the others are killed


class RankDied(Exception):
    """A process of the attempt ended without a word; another attempt may do better."""


def run_ranks(job: JobRow, lease: Lease, heart: Heart) -> None:
    """Train the job in several processes; returns once they have settled it.

    Raises:
        JobFailed: a process said why it failed, or this worker has too few GPUs.
        RankDied: a process was lost.
    """
    # a second that only such jobs need to wait
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    spec = JobSpec.model_validate(job.spec)
    device = choose_device(job.device, spec.resources.devices).type
    with tempfile.TemporaryDirectory(prefix="unroll-ranks-") as path:
        folder = RanksFolder(Path(path))
        folder.give(_order(job, lease, heart, device))
        try:
            with _passing_on(folder), _own_signals(), _environment():
                _launch(folder, spec.resources.devices, job)
        except ChildFailedError as error:
            codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
            raise _reason(codes, folder) from error


def _order(job: JobRow, lease: Lease, heart: Heart, device: str) -> RanksOrder:
    return RanksOrder(
        job_id=job.id,
        attempt=job.attempt,
        lease_s=lease.lease_s,
        device=device,
        worker=heart.worker,
        worker_device=heart.device,
        num_gpus=heart.num_gpus,
        estimated_bytes=job.estimate["memory_bytes"],
        request_id=job.request_id,
        parent=os.getpid(),
    )


def _launch(folder: RanksFolder, size: int, job: JobRow) -> None:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=size,
        run_id=f"{job.id}-{job.attempt}",
        rdzv_backend="c10d",
        rdzv_endpoint=str(folder.path / "rendezvous"),
        rdzv_configs={"store_type": "file"},
        logs_specs=DefaultLogsSpecs(log_dir=str(folder.path / "logs")),
        max_restarts=0,  # the queue tries again, from the last checkpoint
        local_addr="127.0.0.1",
        shutdown_timeout=SHUTDOWN_S,
    )
    elastic_launch(config, sys.executable)("-m", "workers.rank", str(folder.path))


def _reason(codes: dict[int, int], folder: RanksFolder) -> Exception:
    fault, is_lost = folder.fault(), any(code not in SPOKEN for code in codes.values())
    if fault is not None and not (is_lost and fault.cls is ErrorClass.INFRA):
        return JobFailed(fault)
    said = fault.message if fault else "none said why"
    return RankDied(f"exit codes of the processes by rank: {sorted(codes.items())}; {said}")


@contextmanager
def _passing_on(folder: RanksFolder) -> Iterator[None]:
    """Let the processes know when this worker has to stop, which only its own children see."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(DRAIN_EVERY_S):
            if is_draining():
                folder.draining.touch()
                return

    watcher = threading.Thread(target=watch, name="drain", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Give signals back to whoever had them before the launcher."""
    before = {number: signal.getsignal(number) for number in LAUNCHER_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _environment() -> Iterator[None]:
    """What the launcher and its processes read, and nobody after them."""
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def num_gpus() -> int:
    """GPUs that this process sees; asked in the child alone."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0
