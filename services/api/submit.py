"""From a spec to a queued job: resolve, commit, and only then wake a worker."""

from typing import Any

from sqlalchemy.orm import Session

from services.api.jobs_view import view_of
from services.api.views import DryRunView, JobView
from services.http.idempotency import once
from shared.config import get_settings
from shared.db.datasets import DatasetStore, facts_of
from shared.db.engine import transaction
from shared.db.jobs import JobStore
from shared.db.queue import QueueStore
from shared.db.seed import find_dataset
from shared.db.tables import DatasetRow
from shared.db.workers import WorkerStore
from shared.jobs.resolve import Estimate, estimate, resolve
from shared.jobs.spec import JobSpec
from shared.jobs.states import JobStatus, Verb
from shared.logging import current_request_id, get_logger
from shared.queue import wake_workers

log = get_logger(__name__)
NOMINAL_FLOPS_PER_S = 5e9  # a slow core; only until the first job here has finished


def submit(spec: JobSpec, idempotency: dict[str, str] | None) -> dict[str, Any]:
    """The new job as JSON, or the first answer to the same Idempotency-Key."""

    def make(db: Session) -> dict[str, Any]:
        dataset, resolved, cost = _resolved(db, spec)
        DatasetStore(db).hold(dataset)
        job = JobStore(db).add(resolved, dataset.id, cost, current_request_id())
        job.status_reason = why_it_waits(db, resolved)
        return view_of(db, job).model_dump(mode="json")

    answer = once(idempotency, make)
    if answer.is_first:
        log.info("job queued", job_id=answer.body["id"], attempt=0)
        wake_workers([answer.body["id"]])
    return answer.body


def act(job_id: str, verb: Verb) -> JobView:
    """Do it, commit it, and only then wake a worker for what came back to the queue."""
    with transaction() as db:
        job = JobStore(db).act(job_id, verb)
        view = view_of(db, job)
        was_sent = job.dispatched_at is not None
    if view.status == JobStatus.QUEUED and not was_sent:
        wake_workers([job_id])
    return view


def why_it_waits(db: Session, spec: JobSpec) -> str | None:
    """Said at once, because a job that no worker can run would wait without a word."""
    device, devices = spec.resources.device, spec.resources.devices
    if device == "cpu" or (device, devices) == ("auto", 1):
        return None
    if WorkerStore(db).can_train(device, devices, get_settings().lease_s):
        return None
    what = "CUDA" if devices == 1 else f"{devices} GPUs"
    return f"waits for a worker with {what}; none is connected"


def dry_run(spec: JobSpec) -> DryRunView:
    with transaction() as db:
        dataset, resolved, cost = _resolved(db, spec)
        measured = QueueStore(db).flops_per_s()
    return DryRunView(
        spec=resolved.model_dump(mode="json"),
        dataset_id=dataset.id,
        num_parameters=cost.num_parameters,
        steps=cost.total_steps,
        estimated_memory_bytes=cost.memory_bytes,
        estimated_duration_s=cost.flops / (measured or NOMINAL_FLOPS_PER_S),
        duration_basis="newest finished jobs" if measured else "nominal speed",
    )


def _resolved(db: Session, spec: JobSpec) -> tuple[DatasetRow, JobSpec, Estimate]:
    dataset = find_dataset(db, spec.dataset, param="dataset")
    facts = facts_of(dataset)
    resolved = resolve(spec, facts)
    return dataset, resolved, estimate(resolved, facts)
