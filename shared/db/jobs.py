"""Every query a user causes about jobs. Callers own the transaction; nothing here commits."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from shared.db.blobs import BlobStore
from shared.db.events import EventStore
from shared.db.ids import new_id
from shared.db.narrowing import EVERYONES
from shared.db.pages import Page, newer_than, newest_first
from shared.db.queue import QueueStore
from shared.db.tables import AttemptRow, CheckpointRow, DatasetRow, JobRow
from shared.db.viewer import current_owner
from shared.jobs.errors import Conflict, JobNotFound
from shared.jobs.resolve import Estimate
from shared.jobs.spec import JobChanges, JobSpec
from shared.jobs.states import (
    FINAL,
    LEASED,
    REASONS,
    JobStatus,
    Verb,
    check_transition,
    is_under_way,
    moved_by,
)

COLUMNS = {"metadata": "details"}  # a row has another `metadata`


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list shows; what is empty does not narrow it."""

    status: tuple[str, ...] = ()
    dataset: str | None = None
    cell: str | None = None
    mapping: str | None = None
    name_contains: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    experiment: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.status:
            found.append(JobRow.status.in_(self.status))
        if self.cell:
            found.append(JobRow.cell == self.cell)
        if self.mapping:
            found.append(JobRow.spec["mapping"].as_string() == self.mapping)
        if self.name_contains:
            found.append(JobRow.name.icontains(self.name_contains, autoescape=True))
        if self.metadata:
            found.append(JobRow.details.contains(self.metadata))
        if self.experiment:
            found.append(JobRow.experiment_id == self.experiment)
        if self.dataset:
            named = (DatasetRow.id == self.dataset) | (DatasetRow.name == self.dataset)
            found.append(JobRow.dataset_id.in_(select(DatasetRow.id).where(named)))
        return found


class JobStore:
    def __init__(self, db: Session) -> None:
        self.db = db

    def add(
        self,
        spec: JobSpec,
        dataset_id: str,
        estimate: Estimate,
        request_id: str | None = None,
        *,
        experiment_id: str | None = None,
        arm: int | None = None,
    ) -> JobRow:
        """Queue a resolved spec; `request_id` will stand in its workers' logs.

        Raises:
            TooManyQueued: the owner has as many waiting as the operator allows.
        """
        QueueStore(self.db).check_room(current_owner())
        job = JobRow(
            id=new_id("job"),
            request_id=request_id,
            name=spec.name,
            status=JobStatus.QUEUED,
            spec=spec.model_dump(mode="json"),
            details=spec.metadata,
            cell=spec.network.cell.type,
            dataset_id=dataset_id,
            experiment_id=experiment_id,
            arm=arm,
            device=spec.resources.device,
            priority=spec.priority,
            max_attempts=spec.max_attempts,
            model_name=spec.model_name,
            progress=first_progress(spec, estimate),
            estimate={
                "num_parameters": estimate.num_parameters,
                "memory_bytes": estimate.memory_bytes,
                "flops": estimate.flops,
            },
        )
        self.db.add(job)
        self.db.flush()
        self.db.refresh(job)
        EventStore(self.db).add(job.id, "status", {"status": job.status})
        return job

    def find(self, job_id: str) -> JobRow | None:
        return self.db.get(JobRow, job_id)

    def get(self, job_id: str) -> JobRow:
        job = self.find(job_id)
        if job is None:
            raise JobNotFound(job_id)
        return job

    def seen(self, job_ids: Sequence[str]) -> Sequence[str]:
        """Those of the jobs that the viewer may see."""
        return self.db.scalars(select(JobRow.id).where(JobRow.id.in_(job_ids))).all()

    def lock(self, job_id: str) -> JobRow:
        """The job, held against every other writer until the transaction ends."""
        query = select(JobRow).where(JobRow.id == job_id).with_for_update()
        job = self.db.scalars(query.execution_options(populate_existing=True)).first()
        if job is None:
            raise JobNotFound(job_id)
        return job

    def before(self, job: JobRow) -> JobRow | None:
        """The newest one of its dataset that was submitted earlier."""
        if job.dataset_id is None:
            return None
        earlier = (JobRow.dataset_id == job.dataset_id) & (JobRow.id < job.id)
        query = select(JobRow).where(earlier).order_by(JobRow.id.desc()).limit(1)
        return self.db.scalars(query).first()

    def page(self, wanted: JobFilter, after: str | None, limit: int) -> Page[JobRow]:
        query = select(JobRow).where(*wanted.conditions())
        return newest_first(self.db, query, JobRow.id, after, limit)

    def page_before(self, wanted: JobFilter, before: str, limit: int) -> Page[JobRow]:
        """The page that ends where the one beginning with the id `before` begins."""
        query = select(JobRow).where(*wanted.conditions())
        return newer_than(self.db, query, JobRow.id, before, limit)

    def count(self, wanted: JobFilter) -> int:
        query = select(func.count()).select_from(JobRow).where(*wanted.conditions())
        return self.db.scalars(query).one()

    def act(self, job_id: str, verb: Verb) -> JobRow:
        """Do what a person asks for: at once where no worker holds the job, else by its worker.

        A verb that is under way already changes nothing. A job that comes back to the queue has a
        new age; one that is tried again has all its attempts before it.

        Raises:
            UnfitVerb: the verb does not fit the state.
            Conflict: the dataset is gone.
            TooManyQueued: the owner has as many waiting as the operator allows.
        """
        job = self.lock(job_id)
        now = JobStatus(job.status)
        if is_under_way(verb, now, job.status_reason):
            return job
        then = moved_by(job_id, verb, now)
        if then is JobStatus.QUEUED:
            self._requeue(job)
        if verb is Verb.RETRY:
            job.granted_after = job.attempt
        self.move(job, then, REASONS[verb])
        return job

    def _requeue(self, job: JobRow) -> None:
        if job.dataset_id is None:
            raise Conflict(
                f"The dataset of job {job.id} was deleted. Upload it again and submit a new job."
            )
        QueueStore(self.db).check_room(job.owner)
        job.queued_at = job.not_before = func.now()
        job.dispatched_at = job.finished_at = job.error = None
        job.num_dispatches = 0

    def change(self, job_id: str, changes: JobChanges) -> JobRow:
        """Set what was sent; `spec` goes on saying what is in force. A waiting job moves at once."""
        job = self.lock(job_id)
        sent = changes.sent()
        for name, value in sent.items():
            setattr(job, COLUMNS.get(name, name), value)
        job.spec = {**job.spec, **sent}
        self.db.flush()
        self.db.refresh(job)
        if sent:
            EventStore(self.db).add(job.id, "log", {"level": "info", "message": _changed(sent)})
        return job

    def move(self, job: JobRow, status: JobStatus, reason: str | None = None) -> None:
        """Change the status of a locked job and say so in its events."""
        check_transition(job.id, JobStatus(job.status), status)
        job.status, job.status_reason = status, reason
        if status in FINAL:
            job.finished_at = func.now()
        self.db.flush()
        self.db.refresh(job)
        EventStore(self.db).add(job.id, "status", {"status": status, "reason": reason})

    def delete(self, job_id: str) -> None:
        """Delete a job that has ended; what it published stays.

        Raises:
            Conflict: it has not ended.
        """
        job = self.lock(job_id)
        if job.status not in FINAL:
            raise Conflict(f"Job {job_id} is {job.status}; cancel it before you delete it.")
        query = select(CheckpointRow.blob_id).where(CheckpointRow.job_id == job_id)
        blob_ids = self.db.scalars(query).all()
        self.db.execute(delete(JobRow).where(JobRow.id == job_id))
        BlobStore(self.db).delete_if_unused(blob_ids)

    def attempts(self, job_ids: list[str]) -> dict[str, list[AttemptRow]]:
        """Attempts of each job, first to last."""
        query = select(AttemptRow).where(AttemptRow.job_id.in_(job_ids))
        found: dict[str, list[AttemptRow]] = {job_id: [] for job_id in job_ids}
        for attempt in self.db.scalars(query.order_by(AttemptRow.number)):
            found[attempt.job_id].append(attempt)
        return found

    def queue(self) -> dict[str, Any]:
        """How many wait at each priority, and since when the oldest does."""
        waiting = JobRow.status == JobStatus.QUEUED
        per_priority = select(JobRow.priority, func.count()).where(waiting)
        grouped = per_priority.group_by(JobRow.priority)
        rows = self.db.execute(grouped, execution_options=EVERYONES).all()
        age = func.extract("epoch", func.now() - func.min(JobRow.queued_at))
        oldest = self.db.scalars(select(age).where(waiting), execution_options=EVERYONES).one()
        return {
            "depth": sum(count for _, count in rows),
            "by_priority": {str(priority): count for priority, count in sorted(rows, reverse=True)},
            "oldest_age_s": None if oldest is None else float(oldest),
        }

    def count_by_status(self) -> dict[str, int]:
        counted = select(JobRow.status, func.count()).group_by(JobRow.status)
        rows = self.db.execute(counted, execution_options=EVERYONES).all()
        return {status: count for status, count in rows}  # noqa: C416 - rows are no tuples to mypy

    def steps_per_s(self) -> float:
        """Of all running jobs together, as their workers last said."""
        rate = func.sum(JobRow.progress["steps_per_s"].as_float())
        query = select(func.coalesce(rate, 0.0)).where(JobRow.status.in_(LEASED))
        return float(self.db.scalars(query, execution_options=EVERYONES).one())


def _changed(sent: dict[str, Any]) -> str:
    said = [f"{name} = {value}" for name, value in sent.items()]
    return f"the user set {', '.join(said)}"


def first_progress(spec: JobSpec, estimate: Estimate) -> dict[str, Any]:
    return {
        "step": 0,
        "total_steps": estimate.total_steps,
        "epoch": 0,
        "epochs": spec.training.epochs,
        "fraction": 0.0,
        "steps_per_s": None,
        "eta_s": None,
    }
