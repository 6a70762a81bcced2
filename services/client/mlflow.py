"""A job of unroll as a run of MLflow's; decides what MLflow is told, and what is told once.

A run carries the tag `unroll.job_id`, so that a job is exported once, and `unroll.exported` when all of it
is there, so that what was broken off is begun anew.
"""

import csv
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from services.client.client import Checkpoint, Job, UnrollClient

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nobody asked for it to be sent
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

__all__ = ["Exported", "MlflowException", "export_job"]
JOB, DONE = "unroll.job_id", "unroll.exported"
STATUSES = {"succeeded": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}
METRICS_A_BATCH, OTHERS_A_BATCH = 1000, 100  # what MLflow takes at once
LONGEST_PARAM = 6000
NOT_IN_A_NAME = re.compile(r"[^\w./: -]")
T = TypeVar("T")


@dataclass(frozen=True)
class Exported:
    run_id: str
    experiment_id: str
    is_new: bool
    """False: it was there already, with all that the job has."""


def export_job(
    client: UnrollClient, job: Job, tracking_uri: str | None, experiment: str
) -> Exported:
    """Params from the spec, every point of the curves, tags, and the best checkpoint as artifact.

    Raises `MlflowException`, and what the client raises.
    """
    store = MlflowClient(tracking_uri=tracking_uri)
    experiment_id = _experiment(store, experiment)
    for run in store.search_runs([experiment_id], f"tags.`{JOB}` = '{job.id}'"):
        if run.data.tags.get(DONE) == _version_of(job):
            return Exported(run.info.run_id, experiment_id, is_new=False)
        store.delete_run(run.info.run_id)
    started = job.started_at or job.created_at
    tags = {JOB: job.id, "mlflow.runName": job.name, **_tags(job)}
    run = store.create_run(experiment_id, start_time=_ms(started), tags=tags)
    _fill(store, run.info.run_id, client, job)
    return Exported(run.info.run_id, experiment_id, is_new=True)


def flattened(spec: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Dotted paths of a spec and their values as text; metadata is for tags."""
    for name, value in spec.items():
        path = f"{before}{name}"
        if isinstance(value, Mapping):
            if path != "metadata":
                yield from flattened(value, f"{path}.")
        elif value is not None:
            text = value if isinstance(value, str) else json.dumps(value)
            yield path, text[:LONGEST_PARAM]


def _experiment(store: MlflowClient, name: str) -> str:
    found = store.get_experiment_by_name(name)
    return str(found.experiment_id if found else store.create_experiment(name))


def _fill(store: MlflowClient, run_id: str, client: UnrollClient, job: Job) -> None:
    params = (Param(path, text) for path, text in flattened(job.spec))
    for some in _batches(params, OTHERS_A_BATCH):
        store.log_batch(run_id, params=some)
    with TemporaryDirectory(prefix="unroll-export-") as folder:
        client.download_metrics(job.id, Path(folder, "metrics.csv"))
        for points in _batches(_points(Path(folder, "metrics.csv")), METRICS_A_BATCH):
            store.log_batch(run_id, metrics=points)
        if kept := _chosen(client.checkpoints(job.id).data):
            file = Path(folder, f"{kept.id}.safetensors")
            client.download_checkpoint(kept.id, file)
            store.log_artifact(run_id, str(file), "checkpoints")
            store.set_tag(run_id, "unroll.checkpoint_sha256", kept.sha256)
    ended = job.finished_at or job.created_at
    store.set_terminated(run_id, STATUSES[job.status], _ms(ended))
    store.set_tag(run_id, DONE, _version_of(job))


def _points(file: Path) -> Iterator[Metric]:
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            time = datetime.fromisoformat(row["time"])
            yield Metric(row["name"], float(row["value"]), _ms(time), int(row["step"]))


def _chosen(kept: list[Checkpoint]) -> Checkpoint | None:
    """The best checkpoint; the newest of a job that ended before it knew its best."""
    return next((each for each in kept if each.is_best), kept[0] if kept else None)


def _tags(job: Job) -> dict[str, str]:
    own = {
        "unroll.status": job.status,
        "unroll.kernel": job.kernel,
        "unroll.weights_sha256": job.weights_sha256,
        "unroll.model": job.model and f"{job.model.name}/{job.model.version}",
        "unroll.error": job.error and f"{job.error.code}: {job.error.message}",
    }
    metadata = {
        f"metadata.{NOT_IN_A_NAME.sub('_', key)}": value
        for key, value in job.spec.get("metadata", {}).items()
    }
    return {name: str(value) for name, value in {**own, **metadata}.items() if value}


def _version_of(job: Job) -> str:
    """Changes when a job is tried again."""
    return (job.finished_at or job.created_at).isoformat()


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
