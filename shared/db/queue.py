"""Who waits before whom, for how long, and how many may. Callers own the transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from shared.config import get_settings
from shared.db.narrowing import EVERYONES
from shared.db.tables import JobRow
from shared.db.workers import WorkerStore
from shared.jobs.errors import TooManyQueued
from shared.jobs.states import LEASED, JobStatus

CLAIM_LOCK, SUBMIT_LOCK = 727_002, 727_003
WAITING = JobRow.status == JobStatus.QUEUED
FLOPS_LEFT = JobRow.estimate["flops"].as_float() * (1 - JobRow.progress["fraction"].as_float())


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a waiting job stands."""

    position: int
    """1 = the next to be taken."""
    starts_in_s: float | None
    """None while no worker is there, no finished job tells how fast they are, or the owner has as
    many jobs running as is allowed: when one of those ends depends on more than the line."""
    ends_in_s: float | None


@dataclass(frozen=True, slots=True)
class Line:
    """Those that wait at one priority."""

    priority: int
    waiting: int
    oldest_age_s: float


class QueueStore:
    def __init__(self, db: Session) -> None:
        self.db = db

    def lines(self) -> list[Line]:
        """Everybody's waiting jobs, the most urgent first."""
        age = func.extract("epoch", func.now() - func.min(JobRow.queued_at))
        query = select(JobRow.priority, func.count(), age).where(WAITING).group_by(JobRow.priority)
        ordered = query.order_by(JobRow.priority.desc())
        rows = self.db.execute(ordered, execution_options=EVERYONES)
        return [Line(priority, count, float(age_s)) for priority, count, age_s in rows]

    def standings(self, jobs: Sequence[JobRow]) -> dict[str, Standing]:
        """The standing of those jobs that wait, by id."""
        waiting = [job.id for job in jobs if job.status == JobStatus.QUEUED]
        if not waiting:
            return {}
        ready_at = func.greatest(JobRow.not_before, func.now())
        order = (ready_at, JobRow.priority.desc(), JobRow.queued_at, JobRow.id)
        line = (
            select(
                JobRow.id,
                JobRow.owner,
                func.row_number().over(order_by=order).label("position"),
                func.sum(FLOPS_LEFT).over(order_by=order, rows=(None, -1)).label("flops_before"),
                FLOPS_LEFT.label("flops"),
                func.extract("epoch", ready_at - func.now()).label("delay_s"),
            )
            .where(WAITING)
            .subquery()
        )
        rows = self.db.execute(
            select(line).where(line.c.id.in_(waiting)), execution_options=EVERYONES
        ).all()
        speed = self.flops_per_s()
        num_workers = WorkerStore(self.db).num_alive(get_settings().lease_s)
        num_running, busy_s = self._running(speed)
        full = self._full(get_settings().max_running_jobs)
        return {
            row.id: Standing(row.position, None, None)
            if row.owner in full
            else _standing(row, speed, num_workers, num_running, busy_s)
            for row in rows
        }

    def _full(self, cap: int) -> frozenset[str]:
        """Owners with as many jobs running as the operator allows."""
        if not cap:
            return frozenset()
        return frozenset(self.db.scalars(_at(cap), execution_options=EVERYONES))

    def _running(self, speed: float | None) -> tuple[int, float]:
        """How many jobs train, and the seconds that they still need in all."""
        left_s: ColumnElement[Any] = JobRow.progress["eta_s"].as_float()
        if speed:
            left_s = func.coalesce(left_s, FLOPS_LEFT / speed)
        query = select(func.count(), func.coalesce(func.sum(left_s), 0.0))
        count, total_s = self.db.execute(
            query.where(JobRow.status.in_(LEASED)), execution_options=EVERYONES
        ).one()
        return count, total_s

    def flops_per_s(self) -> float | None:
        """Arithmetic that the newest finished jobs got through in a second, overheads included."""
        seconds = func.extract("epoch", JobRow.finished_at - JobRow.started_at)
        rate = (JobRow.estimate["flops"].as_float() / seconds).label("rate")
        undisturbed = (JobRow.status == JobStatus.SUCCEEDED, JobRow.attempt == 1, seconds > 1)
        newest = select(rate).where(*undisturbed).order_by(JobRow.id.desc()).limit(9).subquery()
        median = func.percentile_cont(0.5).within_group(newest.c.rate)
        found = self.db.scalars(select(median), execution_options=EVERYONES)
        rate_per_s: float | None = found.one()
        return rate_per_s

    def check_room(self, owner: str) -> None:
        """Hold the right to queue one more job until the transaction ends.

        Raises:
            TooManyQueued: the owner has as many waiting as the operator allows.
        """
        cap = get_settings().max_queued_jobs
        if not cap:
            return
        self._lock(SUBMIT_LOCK)
        mine = select(func.count()).where(WAITING, JobRow.owner == owner)
        if self.db.scalars(mine).one() >= cap:
            raise TooManyQueued(cap)

    def may_run(self) -> list[ColumnElement[bool]]:
        """Conditions on the job to take next; held until the transaction ends, so exact."""
        cap = get_settings().max_running_jobs
        if not cap:
            return []
        self._lock(CLAIM_LOCK)
        return [JobRow.owner.not_in(_at(cap))]

    def _lock(self, number: int) -> None:
        self.db.execute(select(func.pg_advisory_xact_lock(number)))


def _at(cap: int) -> Select[Any]:
    running = select(JobRow.owner).where(JobRow.status.in_(LEASED))
    return running.group_by(JobRow.owner).having(func.count() >= cap)


def _standing(
    row: Any, speed: float | None, num_workers: int, num_running: int, busy_s: float
) -> Standing:
    """Work before it shared out among the workers that are there; a free worker takes it at once."""
    if not speed or not num_workers:
        return Standing(row.position, None, None)
    before_s = (busy_s + (row.flops_before or 0.0) / speed) / num_workers
    is_next = row.position <= num_workers - num_running
    starts_in_s = max(float(row.delay_s), 0.0 if is_next else before_s)
    return Standing(row.position, starts_in_s, starts_in_s + row.flops / speed)
