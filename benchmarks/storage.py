"""Measure what storage promises, on a Postgres of its own: memory, speed, cost to training.

    python -m benchmarks.storage [--only checkpoint metrics curve] [--megabytes 500] [--seconds 60]

checkpoint  a checkpoint from worker to Postgres and back: MB/s, and memory above its tensors
metrics     20,000 points a second beside a training: what was written, and what training lost
curve       a curve of a million points, drawn in 500
"""

import argparse
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from services.embedded.servers import Servers, erase
from shared.config import get_settings
from shared.data.table import DatasetTable
from shared.db.blobs import BlobStore
from shared.db.curves import Curve
from shared.db.datasets import DatasetStore, facts_of
from shared.db.engine import reset_engine, transaction
from shared.db.jobs import JobStore
from shared.db.leases import LeaseStore
from shared.db.metrics import MetricStore
from shared.db.migrate import upgrade
from shared.db.seed import ensure_builtin
from shared.db.tables import JobRow
from shared.jobs.resolve import estimate, resolve
from shared.jobs.spec import JobSpec
from shared.nn.checkpoint import Checkpoint, pack, unpack
from shared.nn.spec import NetworkSpec, Shape
from workers.lease import Heart, Lease
from workers.plan import make_plan
from workers.recorder import Recorder
from workers.training.loop import Step, fit

Row = tuple[str, str, str]
POINTS_PER_S = 20_000
MILLION = 1_000_000
SEGMENT_S = 2.0
MIB = 2**20


@contextmanager
def database() -> Iterator[None]:
    """A migrated database on durable servers that are erased afterwards."""
    path = Path(tempfile.mkdtemp(prefix="unroll-storage-"))
    path.chmod(0o755)
    try:
        with Servers(path, valkey=False) as servers:
            os.environ["UNROLL_DATABASE_URL"] = servers.database_url
            get_settings.cache_clear()
            upgrade()
            yield
            reset_engine()
    finally:
        erase(path)


def claimed_job(dataset: str, network: dict[str, Any], training: dict[str, Any]) -> JobRow:
    body = {"dataset": dataset, "network": network, "training": training}
    with transaction() as db:
        ensure_builtin(db, dataset)
        facts = facts_of(DatasetStore(db).get(dataset))
        spec = resolve(JobSpec.model_validate(body), facts)
        JobStore(db).add(spec, facts.id, estimate(spec, facts))
    with transaction() as db:
        job = LeaseStore(db).claim("benchmark", "cpu", 600)
    assert job is not None
    return job


def checkpoint(megabytes: int) -> list[Row]:
    """In a process of its own, whose memory is its alone."""
    command = [sys.executable, "-m", "benchmarks.storage", "--inside", str(megabytes)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    wrote, write_mib, read, read_mib = (float(line) for line in lines[-4:])
    size = f"a checkpoint of {megabytes} MB"
    return [
        (f"{size}: written", f"{wrote:.0f} MB/s", ""),
        (f"{size}: memory above its tensors", f"{write_mib:.1f} MiB", "64 MiB"),
        (f"{size}: read and checked", f"{read:.0f} MB/s", ""),
        (f"{size}: memory above its tensors", f"{read_mib:.1f} MiB", "64 MiB"),
    ]


def checkpoint_inside(megabytes: int) -> None:
    """Print speed and growth of writing, then of reading."""
    spec = NetworkSpec.model_validate({"cell": "lstm"})
    shape = Shape.model_validate(
        {"mapping": "many_to_one", "input_kind": "numeric", "input_size": 1, "output_size": 1}
    )
    size = megabytes * 1_000_000 // 4 // 3
    tensors = {name: torch.rand(size) for name in ("exp_avg", "exp_avg_sq")}
    found = Checkpoint(spec, shape, {"w": torch.rand(size)}, tensors, {})
    before = most_mib()
    started = time.perf_counter()
    with transaction() as db:
        blob_id = BlobStore(db).write(pack(found)).id
    say(megabytes / (time.perf_counter() - started), most_mib() - before)
    before = most_mib()
    started = time.perf_counter()
    with transaction() as db:
        again = unpack(BlobStore(db).read_checked(blob_id))
    rate = megabytes / (time.perf_counter() - started)
    assert torch.equal(again.tensors["exp_avg"], tensors["exp_avg"])
    say(rate, most_mib() - before - 3 * 4 * size / MIB)


def say(*numbers: float) -> None:
    sys.stdout.writelines(f"{number}\n" for number in numbers)


def most_mib() -> float:
    """The most memory that this process ever had; its unit is KiB on Linux alone."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1024 if sys.platform == "linux" else MIB
    )


def metrics(seconds: float) -> list[Row]:
    """Short stretches of one training, in turn with its points recorded and without."""
    job = claimed_job("adding-50", {"cell": "gru", "hidden_size": 128}, {"epochs": 10_000})
    with transaction() as db:
        data = DatasetStore(db).read(DatasetStore(db).get("adding-50"))
    plan = make_plan(
        JobSpec.model_validate(job.spec), DatasetTable.open(memoryview(data)), torch.device("cpu")
    )
    recorder = Recorder(plan, Lease(job.id, job.attempt, 600.0), {})
    steps = fit(plan.training, None)
    for _ in range(20):
        next(steps)  # kernels are compiled at their first use
    per_step = math.ceil(1.05 * POINTS_PER_S * timed(steps, 3.0, lambda step: None)[0])
    names = [f"benchmark/{index}" for index in range(max(0, per_step - 3))]

    def record(step: Step) -> None:
        recorder.step(step)
        recorder.metrics(dict.fromkeys(names, 0.5), step.number, 0.0)

    with Heart("benchmark", "cpu").holding(recorder.lease):
        pairs = [
            (timed(steps, SEGMENT_S, lambda step: None), timed(steps, SEGMENT_S, record))
            for _ in range(max(1, round(seconds / 2 / SEGMENT_S)))
        ]
    recorder.flush()
    wall, own = (statistics.median(on[i] / off[i] - 1 for off, on in pairs) for i in (0, 1))
    written = (len(names) + 3) / statistics.median(on[0] for _, on in pairs)
    return [
        ("points written beside a training", f"{written:,.0f} a second", f"{POINTS_PER_S:,}"),
        ("a step takes longer by", f"{wall:+.1%}", "2 %"),
        ("the training thread works more by", f"{own:+.1%}", "2 %"),
        ("the training", f"{1 / statistics.median(off[0] for off, _ in pairs):.0f} steps/s", ""),
    ]


def timed(
    steps: Iterator[Step], seconds: float, act: Callable[[Step], None]
) -> tuple[float, float]:
    """Seconds a step, by the clock and of this thread's processor time, what `act` costs included."""
    started, worked, count = time.perf_counter(), time.thread_time(), 0
    while (elapsed := time.perf_counter() - started) < seconds:
        act(next(steps))
        count += 1
    return elapsed / count, (time.thread_time() - worked) / count


def curve() -> list[Row]:
    job = claimed_job("adding-50", {"cell": "gru"}, {"epochs": 1})
    random = np.random.default_rng(1)
    started = time.perf_counter()
    for first in range(0, MILLION, POINTS_PER_S):
        numbers = np.arange(first + 1, first + POINTS_PER_S + 1)
        values = random.random(POINTS_PER_S)
        with transaction() as db:
            store, times = MetricStore(db), np.full(POINTS_PER_S, int(time.time() * 1e6))
            store.add_curves(job.id, [Curve("train/loss", numbers, numbers / 100, values, times)])
    rate = MILLION / (time.perf_counter() - started)
    asked = []
    for _ in range(20):
        started = time.perf_counter()
        with transaction() as db:
            num = len(MetricStore(db).series(job.id, "train/loss", 500))
        asked.append(1000 * (time.perf_counter() - started))
    return [
        ("points written, nothing else running", f"{rate:,.0f} a second", ""),
        (
            f"a curve of a million points, in {num}: median",
            f"{statistics.median(asked):.0f} ms",
            "100 ms",
        ),
        ("the slowest of 20", f"{max(asked):.0f} ms", ""),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what storage promises.")
    parser.add_argument("--only", nargs="*", choices=["checkpoint", "metrics", "curve"])
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0, help="for the metrics")
    parser.add_argument("--inside", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.inside:
        checkpoint_inside(options.inside)
        return
    parts: dict[str, Callable[[], list[Row]]] = {
        "checkpoint": lambda: checkpoint(options.megabytes),
        "metrics": lambda: metrics(options.seconds),
        "curve": curve,
    }
    table = Table("measured", "result", "goal")
    with database():
        for name in options.only or parts:
            for row in parts[name]():
                table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
