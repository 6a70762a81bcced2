"""Who owns a running job. Every write of a worker passes `owned`, which fences off former owners."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from shared.db.counters import CounterStore
from shared.db.jobs import JobStore
from shared.db.tables import AttemptRow, JobRow
from shared.jobs.errors import ErrorClass, JobError, LeaseLost
from shared.jobs.states import LEASED, JobStatus

SWEEP_LOCK = 727_001
RESEND_AFTER_S = 5.0
MAX_RESEND_S = 60.0
BACKOFF_S = 2.0  # doubled with every lost attempt
MAX_BACKOFF_S = 60.0
LOST = {
    JobStatus.RUNNING: JobStatus.QUEUED,
    JobStatus.CANCELLING: JobStatus.CANCELLED,
    JobStatus.PAUSING: JobStatus.PAUSED,
}
"""What becomes of a job whose worker is gone."""


def _seconds(value: Any) -> Any:
    return func.make_interval(0, 0, 0, 0, 0, 0, value)


class LeaseStore:
    def __init__(self, db: Session) -> None:
        self.db = db

    def claim(self, worker: str, device: str, lease_s: float, num_gpus: int = 0) -> JobRow | None:
        """Take the most urgent job that this worker can run; two claimers never get the same one.

        The job's new `attempt` is the fencing token of every later write.
        """
        num_devices = JobRow.spec["resources"]["devices"].as_integer()
        fits = (
            or_(JobRow.device == "cpu", num_devices <= num_gpus)
            if num_gpus
            else JobRow.device != "cuda"
        )
        chosen = (
            select(JobRow.id)
            .where(JobRow.status == JobStatus.QUEUED, JobRow.not_before <= func.now(), fits)
            .order_by(JobRow.priority.desc(), JobRow.queued_at, JobRow.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        job_id = self.db.scalars(chosen).first()
        if job_id is None:
            return None
        job = JobStore(self.db).lock(job_id)
        job.attempt += 1
        job.worker = worker
        job.started_at = job.started_at or func.now()
        job.lease_until = func.now() + _seconds(lease_s)
        JobStore(self.db).move(job, JobStatus.RUNNING, f"attempt {job.attempt} on {worker}")
        self.db.add(AttemptRow(job_id=job.id, number=job.attempt, worker=worker, device=device))
        CounterStore(self.db).add("claims")
        return job

    def renew(self, job_id: str, attempt: int, lease_s: float) -> JobStatus | None:
        """Extend the lease and read the user's wish; None = the lease is no longer ours."""
        status = self.db.scalars(
            update(JobRow)
            .where(JobRow.id == job_id, JobRow.attempt == attempt, JobRow.status.in_(LEASED))
            .values(lease_until=func.now() + _seconds(lease_s))
            .returning(JobRow.status)
        ).first()
        return None if status is None else JobStatus(status)

    def owned(self, job_id: str, attempt: int) -> JobRow:
        """The job, locked by its owner.

        Raises:
            LeaseLost: another attempt owns it, or it was taken away.
        """
        query = select(JobRow).where(
            JobRow.id == job_id, JobRow.attempt == attempt, JobRow.status.in_(LEASED)
        )
        locked = query.with_for_update().execution_options(populate_existing=True)
        job = self.db.scalars(locked).first()
        if job is None:
            raise LeaseLost(f"attempt {attempt} no longer owns {job_id}")
        return job

    def settle(
        self, job: JobRow, status: JobStatus, outcome: str, reason: str | None = None
    ) -> None:
        """End the attempt of an owned job."""
        job.worker = job.lease_until = None
        if status is JobStatus.QUEUED:
            job.dispatched_at = None
        JobStore(self.db).move(job, status, reason)
        self.db.execute(
            update(AttemptRow)
            .where(AttemptRow.job_id == job.id, AttemptRow.number == job.attempt)
            .values(ended_at=func.now(), outcome=outcome)
        )
        CounterStore(self.db).add("attempts", outcome)

    def resumed_from(self, job: JobRow, step: int) -> None:
        self.db.execute(
            update(AttemptRow)
            .where(AttemptRow.job_id == job.id, AttemptRow.number == job.attempt)
            .values(resumed_from_step=step)
        )

    def try_sweep_lock(self) -> bool:
        """Whether this transaction is the one that may sweep now."""
        lock = select(func.pg_try_advisory_xact_lock(SWEEP_LOCK))
        return bool(self.db.scalars(lock).one())

    def rescue_expired(self) -> int:
        """Take jobs back whose lease ran out."""
        expired = (
            select(JobRow)
            .where(JobRow.lease_until < func.now())
            .order_by(JobRow.id)
            .with_for_update(skip_locked=True)
        )
        jobs = self.db.scalars(expired).all()
        for job in jobs:
            self.lose(job, f"lost its worker {job.worker}")
        return len(jobs)

    def lose(self, job: JobRow, reason: str) -> None:
        """End an attempt that was lost with its machine; the job is tried again while it may be."""
        status = LOST[JobStatus(job.status)]
        num_lost = 1 + self._num_lost(job.id)
        if status is JobStatus.QUEUED and num_lost >= job.max_attempts:
            status = JobStatus.FAILED
            job.error = JobError(
                "lost_worker",
                ErrorClass.INFRA,
                f"The job lost its worker {num_lost} times; its last worker was {job.worker}. "
                "See that worker's log (out of memory is the usual cause).",
            ).to_json()
        delay = min(BACKOFF_S * 2 ** (num_lost - 1), MAX_BACKOFF_S)
        job.not_before = func.now() + _seconds(delay)
        self.settle(job, status, "lost", reason)
        CounterStore(self.db).add("lease_expiries")
        CounterStore(self.db).add("rescues", status)

    def _num_lost(self, job_id: str) -> int:
        """Attempts that ended with their worker; a worker that hands a job back costs none."""
        lost = (AttemptRow.job_id == job_id) & (AttemptRow.outcome == "lost")
        return self.db.scalars(select(func.count()).where(lost)).one()

    def unsent(self, num_messages: int) -> Sequence[str]:
        """Queued jobs whose wake-up message is missing.

        `num_messages` is what the broker holds: while it holds as many as jobs wait, only a job
        whose message was never sent is reported.
        """
        waiting = (JobRow.status == JobStatus.QUEUED) & (JobRow.not_before <= func.now())
        num_waiting = self.db.scalars(select(func.count()).where(waiting)).one()
        never_sent = JobRow.dispatched_at.is_(None) & (
            JobRow.queued_at < func.now() - _seconds(1.0)
        )
        patience = func.least(
            RESEND_AFTER_S * func.power(2, func.least(JobRow.num_dispatches - 1, 6)), MAX_RESEND_S
        )
        silent = JobRow.dispatched_at < func.now() - _seconds(patience)
        missing = never_sent if num_messages >= num_waiting else or_(never_sent, silent)
        query = select(JobRow.id).where(waiting, missing)
        return self.db.scalars(
            query.order_by(JobRow.priority.desc(), JobRow.queued_at).limit(500)
        ).all()

    def mark_sent(self, job_ids: Sequence[str]) -> None:
        self.db.execute(
            update(JobRow)
            .where(JobRow.id.in_(job_ids), JobRow.status == JobStatus.QUEUED)
            .values(dispatched_at=func.now(), num_dispatches=JobRow.num_dispatches + 1)
        )
