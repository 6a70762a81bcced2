"""Jobs as the pages may meet them, written through the stores; knows no browser."""

import io
import json
import math
import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import update

from shared.data.options import DatasetOptions
from shared.data.readers import build_from_file
from shared.db.blobs import BlobStore
from shared.db.checkpoints import CheckpointStore
from shared.db.datasets import DatasetStore
from shared.db.engine import transaction
from shared.db.events import EventStore
from shared.db.jobs import JobStore
from shared.db.leases import LeaseStore
from shared.db.metrics import MetricStore, Point
from shared.db.seed import add_dataset
from shared.db.tables import JobRow
from shared.jobs.errors import ErrorClass, JobError
from shared.jobs.resolve import Estimate
from shared.jobs.spec import JobSpec
from shared.jobs.states import JobStatus, Verb

EPOCHS, STEPS_PER_EPOCH = 50, 60
WORKER, DEVICE = "gpu-0", "cuda:0"


def a_dataset(name: str = "surnames") -> str:
    """The id of a dataset with this name, made when it is missing."""
    with transaction() as db:
        found = DatasetStore(db).find(name)
        if found is not None:
            return found.id
        columns: dict[str, Any] = {"options": {}, "encoding": {}, "about": {}, "schema": {}}
        columns |= {"splits": {"train": 1920}, "lengths": {}, "mappings": ["many_to_one"]}
        sizes = {"sha256": "0" * 64, "bytes": 5, "num_elements": 13_000}
        row = DatasetStore(db).add(
            b"arrow", name=name, source="upload", format="jsonl", **columns, **sizes
        )
        return row.id


def a_real_dataset(name: str, records: Iterable[dict[str, Any]] = ()) -> str:
    """The id of a dataset that can be read; by default of twenty short texts of two classes."""
    rows = list(records) or [
        {"input": "ab"[n % 2] * (n % 4 + 1), "target": "xy"[n % 2]} for n in range(20)
    ]
    text = "\n".join(map(json.dumps, rows)).encode()
    options = DatasetOptions()
    built = build_from_file(io.BytesIO(text), "jsonl", options)
    with transaction() as db:
        row = add_dataset(
            db,
            built,
            name=name,
            source="upload",
            format_name="jsonl",
            options=options,
            num_bytes=len(text),
            digest="0" * 64,
            about={},
        )
        return row.id


def a_job(name: str = "names-bilstm", *, dataset: str = "surnames", **spec: Any) -> str:
    """The id of a queued job; `spec` overrides parts of what was asked for."""
    dataset_id = a_dataset(dataset)
    network = {"cell": "lstm", "hidden_size": 64, **spec.pop("network", {})}
    training = {"epochs": EPOCHS, "loss": "cross_entropy", **spec.pop("training", {})}
    fields = {"mapping": "many_to_one", **spec}
    wish = JobSpec.model_validate(
        {"name": name, "dataset": dataset, "network": network, "training": training, **fields}
    )
    estimate = Estimate(58_114, training["epochs"] * STEPS_PER_EPOCH, 10_000_000, 1e12)
    with transaction() as db:
        return JobStore(db).add(wish, dataset_id, estimate).id


def a_running_job(name: str = "names-bilstm", *, epoch: int = 31, **spec: Any) -> str:
    """A job that a worker holds and has trained for some epochs."""
    job_id = a_job(name, **spec)
    start(job_id)
    train_to(job_id, epoch)
    return job_id


def start(job_id: str, lease_s: float = 30) -> None:
    """Let a worker take the job: the most urgent one, which this makes it."""
    with transaction() as db:
        JobStore(db).lock(job_id).priority = 9
        db.flush()
        job = LeaseStore(db).claim(WORKER, DEVICE, lease_s)
        assert job is not None
        assert job.id == job_id
        job.kernel = "torch.nn.LSTM"


def train_to(job_id: str, epoch: int) -> None:
    """Say that training has come to the end of this epoch."""
    step, total = epoch * STEPS_PER_EPOCH, EPOCHS * STEPS_PER_EPOCH
    best_epoch = min(range(1, max(2, epoch + 1)), key=val_loss)
    best: dict[str, Any] = {"metric": "val/loss", "value": val_loss(best_epoch)}
    best["step"] = best_epoch * STEPS_PER_EPOCH
    latest = {
        "train/loss": train_loss(step),
        "val/loss": val_loss(epoch),
        "val/accuracy": val_accuracy(epoch),
    }
    progress = {
        "step": step,
        "total_steps": total,
        "epoch": epoch,
        "epochs": EPOCHS,
        "fraction": step / total,
        "steps_per_s": 31.5,
        "eta_s": (total - step) / 31.5,
    }
    with transaction() as db:
        job = JobStore(db).lock(job_id)
        job.progress, job.best, job.latest = progress, best, latest
        EventStore(db).add(job_id, "metric", {"step": step, "epoch": epoch, "metrics": latest})


def finish(job_id: str, status: JobStatus = JobStatus.SUCCEEDED) -> None:
    with transaction() as db:
        job = JobStore(db).lock(job_id)
        job.model_name, job.model_version = job.name, 1
        LeaseStore(db).settle(job, status, str(status))


def fail(job_id: str, message: str, code: str = "loss_not_finite") -> None:
    with transaction() as db:
        job = JobStore(db).lock(job_id)
        job.error = JobError(code, ErrorClass.USER, message).to_json()
        LeaseStore(db).settle(job, JobStatus.FAILED, "failed")


def act(job_id: str, verb: Verb) -> None:
    """Say a verb as a person does, elsewhere than on the page."""
    with transaction() as db:
        JobStore(db).act(job_id, verb)


def stop(job_id: str, status: JobStatus) -> None:
    """Let the worker do what it was asked for: paused or cancelled."""
    with transaction() as db:
        LeaseStore(db).settle(JobStore(db).lock(job_id), status, str(status))


LIVES: dict[JobStatus, tuple[Callable[[str], None], ...]] = {
    JobStatus.QUEUED: (),
    JobStatus.RUNNING: (start,),
    JobStatus.CANCELLING: (start, lambda job_id: act(job_id, Verb.CANCEL)),
    JobStatus.PAUSING: (start, lambda job_id: act(job_id, Verb.PAUSE)),
    JobStatus.PAUSED: (lambda job_id: act(job_id, Verb.PAUSE),),
    JobStatus.SUCCEEDED: (start, finish),
    JobStatus.FAILED: (start, lambda job_id: fail(job_id, "The loss became NaN at step 812.")),
    JobStatus.CANCELLED: (lambda job_id: act(job_id, Verb.CANCEL),),
}
"""What happens to a job until it stands there."""


def a_job_in(status: JobStatus, name: str = "names-bilstm") -> str:
    """The id of a job in this state."""
    job_id = a_job(name)
    for happen in LIVES[status]:
        happen(job_id)
    return job_id


def silence_worker(job_id: str, for_s: float = 65) -> None:
    """Let the lease run out: the worker has not been heard of."""
    ended = datetime.now(UTC) - timedelta(seconds=for_s)
    with transaction() as db:
        db.execute(update(JobRow).where(JobRow.id == job_id).values(lease_until=ended))


def add_points(job_id: str, name: str, values: Iterable[tuple[int, float]]) -> None:
    """Write a curve from pairs of step and value; a step takes 30 ms."""
    now = datetime.now(UTC)
    with transaction() as db:
        begun = JobStore(db).get(job_id).started_at or now
        points = [
            Point(name, step, step / STEPS_PER_EPOCH, value, begun + timedelta(seconds=step / 31.5))
            for step, value in values
        ]
        MetricStore(db).add(job_id, points)


def add_curves(job_id: str, epoch: int = 31) -> None:
    """Train and validation curves that look like training."""
    steps = range(10, epoch * STEPS_PER_EPOCH + 1, 10)
    epochs = range(1, epoch + 1)
    add_points(job_id, "train/loss", [(step, train_loss(step)) for step in steps])
    add_points(job_id, "train/grad_norm", [(step, 0.4 + train_loss(step) / 3) for step in steps])
    for name, value_of in VALIDATION.items():
        add_points(job_id, name, [(e * STEPS_PER_EPOCH, value_of(e)) for e in epochs])


def add_checkpoint(job_id: str, epoch: int, *, is_best: bool = False) -> str:
    with transaction() as db:
        blob = BlobStore(db).write([b"safetensors" * 1000])
        row = CheckpointStore(db).add(
            job_id,
            attempt=1,
            step=epoch * STEPS_PER_EPOCH,
            epoch=epoch,
            metrics={"val/loss": val_loss(epoch)},
            is_best=is_best,
            is_last=True,
            blob_id=blob.id,
            weights_sha256="0" * 64,
        )
        return row.id


def add_log(job_id: str, message: str) -> None:
    with transaction() as db:
        EventStore(db).add(job_id, "log", {"message": message})


def train_loss(step: int) -> float:
    noise = random.Random(step).gauss(0, 0.11)
    return (2.6 * math.exp(-step / 420) + 0.34) * math.exp(noise)


def val_loss(epoch: int) -> float:
    return 2.5 * math.exp(-epoch / 8) + 0.46 + 0.02 * math.sin(epoch * 2.1)


def val_accuracy(epoch: int) -> float:
    return 0.84 - 0.7 * math.exp(-epoch / 7) + 0.008 * math.sin(epoch * 3.3)


VALIDATION = {
    "val/loss": val_loss,
    "val/accuracy": val_accuracy,
    "val/f1_macro": lambda epoch: val_accuracy(epoch) - 0.05,
}


def lose_and_retake(job_id: str, step: int) -> None:
    """A second attempt takes the job over and goes back to this step."""
    with transaction() as db:
        job = JobStore(db).lock(job_id)
        LeaseStore(db).settle(job, JobStatus.QUEUED, "lost", "lost its worker gpu-0")
        MetricStore(db).forget_after(job_id, step)
    start(job_id)
