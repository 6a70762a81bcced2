"""Every query a user causes about jobs. Callers own the transaction; nothing here commits."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, tuple_
from sqlalchemy.orm import Session

from shared.db.blobs import BlobStore
from shared.db.events import EventStore
from shared.db.ids import new_id
from shared.db.narrowing import EVERYONES
from shared.db.pages import Page, newer_than, newest_first
from shared.db.tables import AttemptRow, CheckpointRow, DatasetRow, JobRow
from shared.jobs.errors import Conflict, JobNotFound
from shared.jobs.resolve import Estimate
from shared.jobs.spec import JobSpec
from shared.jobs.states import FINAL, LEASED, JobStatus, check_transition

AT_ONCE = {JobStatus.QUEUED: JobStatus.CANCELLED, JobStatus.PAUSED: JobStatus.CANCELLED}
"""What a cancellation makes of a job that no worker holds."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list shows; what is empty does not narrow it."""

    status: tuple[str, ...] = ()
    dataset: str | None = None
    cell: str | None = None
    mapping: str | None = None
    name_contains: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)

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
        if self.dataset:
            named = (DatasetRow.id == self.dataset) | (DatasetRow.name == self.dataset)
            found.append(JobRow.dataset_id.in_(select(DatasetRow.id).where(named)))
        return found


class JobStore:
    def __init__(self, db: Session) -> None:
        self.db = db

    def add(
        self, spec: JobSpec, dataset_id: str, estimate: Estimate, request_id: str | None = None
    ) -> JobRow:
        """Queue a resolved spec; `request_id` will stand in its workers' logs."""
        job = JobRow(
            id=new_id("job"),
            request_id=request_id,
            name=spec.name,
            status=JobStatus.QUEUED,
            spec=spec.model_dump(mode="json"),
            details=spec.metadata,
            cell=spec.network.cell.type,
            dataset_id=dataset_id,
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

    def cancel(self, job_id: str) -> JobRow:
        """Cancel at once what no worker holds; ask the worker otherwise.

        Raises:
            IllegalTransition: the job has ended.
        """
        job = self.lock(job_id)
        if job.status != JobStatus.CANCELLING:
            now = JobStatus(job.status)
            self.move(job, AT_ONCE.get(now, JobStatus.CANCELLING), "asked by the user")
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

    def queue_position(self, job: JobRow) -> int | None:
        """1 = the next to be taken; None when it does not wait."""
        if job.status != JobStatus.QUEUED:
            return None
        mine = (-job.priority, job.queued_at, job.id)
        before = tuple_(-JobRow.priority, JobRow.queued_at, JobRow.id) < mine
        query = select(func.count()).where(JobRow.status == JobStatus.QUEUED, before)
        return self.db.scalars(query, execution_options=EVERYONES).one() + 1

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
        return float(self.db.scalars(query).one())

    def flops_per_s(self) -> float | None:
        """Arithmetic that the newest finished jobs got through in a second, overheads included."""
        seconds = func.extract("epoch", JobRow.finished_at - JobRow.started_at)
        flops = JobRow.estimate["flops"].as_float()
        rate = (flops / seconds).label("rate")
        newest = (
            select(rate)
            .where(JobRow.status == JobStatus.SUCCEEDED, seconds > 1)
            .order_by(JobRow.id.desc())
            .limit(9)
            .subquery()
        )
        median = func.percentile_cont(0.5).within_group(newest.c.rate)
        found = self.db.scalars(select(median), execution_options=EVERYONES)
        rate_per_s: float | None = found.one()
        return rate_per_s


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
