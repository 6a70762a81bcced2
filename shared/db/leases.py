"""Who owns a running job. Every write of a worker passes `owned`, which fences off former owners."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from shared.config import get_settings
from shared.db.counters import CounterStore
from shared.db.events import EventStore
from shared.db.jobs import JobStore
from shared.db.queue import QueueStore
from shared.db.tables import AttemptRow, JobRow
from shared.jobs.errors import ErrorClass, JobError, LeaseLost
from shared.jobs.states import LEASED, JobStatus

SWEEP_LOCK = 727_001
RESEND_AFTER_S = 5.0
MAX_RESEND_S = 60.0
MIN_IDLE_S = 2.0  # an honest pause of a busy machine
FAULTY = ("lost", "failed")  # outcomes that use up one of a job's attempts
LOST = {
    JobStatus.RUNNING: JobStatus.QUEUED,
    JobStatus.CANCELLING: JobStatus.CANCELLED,
    JobStatus.PAUSING: JobStatus.PAUSED,
}
"""What becomes of a job whose worker is gone, or whose attempt a machine or server ended."""


def _seconds(value: Any) -> Any:
    return func.make_interval(0, 0, 0, 0, 0, 0, value)


def backoff_s(num_tries: int) -> float:
    """The wait after so many tries that failed."""
    settings = get_settings()
    return min(settings.retry_base_s * 2.0 ** (num_tries - 1), settings.retry_cap_s)


class LeaseStore:
    def __init__(self, db: Session) -> None:
        self.db = db

    def claim(self, worker: str, device: str, lease_s: float, num_gpus: int = 0) -> JobRow | None:
        """Take the most urgent job that this worker can run; two claimers never get the same one.

        The job's new `attempt` is the fencing token of every later write.
        """
        self._let_go_in_time()
        num_devices = JobRow.spec["resources"]["devices"].as_integer()
        fits = (
            or_(JobRow.device == "cpu", num_devices <= num_gpus)
            if num_gpus
            else JobRow.device != "cuda"
        )
        chosen = (
            select(JobRow.id)
            .where(JobRow.status == JobStatus.QUEUED, JobRow.not_before <= func.now(), fits)
            .where(*QueueStore(self.db).may_run())
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
        self._let_go_in_time()
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
        self._let_go_in_time()
        query = select(JobRow).where(
            JobRow.id == job_id, JobRow.attempt == attempt, JobRow.status.in_(LEASED)
        )
        locked = query.with_for_update().execution_options(populate_existing=True)
        job = self.db.scalars(locked).first()
        if job is None:
            raise LeaseLost(f"attempt {attempt} no longer owns {job_id}")
        return job

    def _let_go_in_time(self) -> None:
        """A worker that freezes with a job's row locked loses the lock in the time of a lease."""
        idle_ms = f"{1000 * max(MIN_IDLE_S, get_settings().lease_s):.0f}"
        name = "idle_in_transaction_session_timeout"
        self.db.execute(select(func.set_config(name, idle_ms, True)))

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
            CounterStore(self.db).add("lease_expiries")
        return len(jobs)

    def lose(self, job: JobRow, cause: str) -> None:
        """End an attempt that was lost with a process; the job is tried again while it may be."""
        message = (
            f"The job {cause}. See that worker's log (out of memory is the usual cause) "
            "before you try the job again."
        )
        error = JobError("lost_worker", ErrorClass.INFRA, message)
        self._try_again(job, "lost", cause, error)
        CounterStore(self.db).add("rescues", job.status)

    def fail(self, job: JobRow, error: JobError) -> None:
        """End the attempt of an owned job by its error.

        A fault of the infrastructure is tried again while the job has attempts left; what user or
        data caused, or memory and time, would only happen again.
        """
        EventStore(self.db).add(job.id, "log", {"level": "error", "message": error.message})
        if error.cls is ErrorClass.INFRA:
            self._try_again(job, "failed", f"failed: {error.message}", error)
        else:
            job.error = error.to_json()
            self.settle(job, JobStatus.FAILED, "failed", error.code)

    def _try_again(self, job: JobRow, outcome: str, cause: str, error: JobError) -> None:
        """Back to the queue after a wait that doubles, or to the end with the last attempt."""
        status, reason = LOST[JobStatus(job.status)], f"attempt {job.attempt} {cause}"
        num_tries = 1 + self._num_faulty(job)
        if status is JobStatus.QUEUED and num_tries >= job.max_attempts:
            status = JobStatus.FAILED
            said = f"{error.message} Attempts of max_attempts used: {num_tries} of {num_tries}."
            job.error = replace(error, message=said).to_json()
        elif status is JobStatus.QUEUED:
            delay_s = backoff_s(num_tries)
            job.not_before = func.now() + _seconds(delay_s)
            reason += f"; try {num_tries + 1} of {job.max_attempts} follows in {delay_s:g} s"
        self.settle(job, status, outcome, reason)

    def _num_faulty(self, job: JobRow) -> int:
        """Attempts that a fault ended since they were granted; one handed back costs none."""
        faulty = (AttemptRow.job_id == job.id) & AttemptRow.outcome.in_(FAULTY)
        counted = select(func.count()).where(faulty, AttemptRow.number > job.granted_after)
        return self.db.scalars(counted).one()

    def trained_s(self, job: JobRow) -> float:
        """Seconds that earlier attempts took since they were granted."""
        took = func.extract("epoch", AttemptRow.ended_at - AttemptRow.started_at)
        earlier = (AttemptRow.job_id == job.id) & (AttemptRow.number < job.attempt)
        query = select(func.sum(took)).where(earlier, AttemptRow.number > job.granted_after)
        return float(self.db.scalars(query).one() or 0.0)

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
