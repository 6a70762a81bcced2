"""Owning a job: heartbeats from a thread of their own, the user's wish, fenced writes."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session
from structlog.contextvars import bound_contextvars, get_contextvars

from shared.config import get_settings
from shared.db.engine import transaction
from shared.db.leases import LeaseStore
from shared.db.tables import JobRow
from shared.db.workers import WorkerStore
from shared.jobs.errors import LeaseLost
from shared.jobs.states import JobStatus
from shared.logging import get_logger
from workers.drain import is_draining

log = get_logger(__name__)
T = TypeVar("T")
Usage = dict[str, Any]
LONGEST_BEAT_S = 1.0  # also how soon a cancellation is noticed
WAIT_S = 0.2  # between tries while the database is away
WISHES = {JobStatus.CANCELLING: JobStatus.CANCELLED, JobStatus.PAUSING: JobStatus.PAUSED}


class StopAsked(Exception):
    """Training is to stop at this step; `status` is what the job becomes."""

    def __init__(self, status: JobStatus, outcome: str) -> None:
        super().__init__(outcome)
        self.status = status
        self.outcome = outcome


class Lease:
    """One attempt's right to write. Every write goes through `write`, which checks it in SQL."""

    def __init__(self, job_id: str, attempt: int, lease_s: float) -> None:
        self.job_id, self.attempt, self.lease_s = job_id, attempt, lease_s
        self.valid_until = time.monotonic() + lease_s
        self.status: JobStatus | None = JobStatus.RUNNING

    def renew(self) -> None:
        """Extend the lease; counted from before the request, so never later than the server's view."""
        asked_at = time.monotonic()
        with transaction() as db:
            self.status = LeaseStore(db).renew(self.job_id, self.attempt, self.lease_s)
        self.valid_until = asked_at + self.lease_s

    def check(self) -> None:
        """Raise `LeaseLost` or `StopAsked` when training may not go on."""
        if self.status is None or time.monotonic() > self.valid_until:
            raise LeaseLost(f"attempt {self.attempt} no longer owns {self.job_id}")
        if self.status in WISHES:
            wish = WISHES[self.status]
            raise StopAsked(wish, wish.value)
        if is_draining():
            raise StopAsked(JobStatus.QUEUED, "released")

    def write(self, work: Callable[[Session, JobRow], T]) -> T:
        """Run one transaction as the job's owner; while the database is away, wait for it.

        Raises:
            LeaseLost: the job is another attempt's now, or the database stayed away too long.
        """
        return self.transact(lambda db: work(db, LeaseStore(db).owned(self.job_id, self.attempt)))

    def stop(self, asked: StopAsked) -> None:
        """End the attempt as it was asked to, unless its user has wished for something else since."""

        def settle(db: Session, row: JobRow) -> None:
            wish = WISHES.get(JobStatus(row.status))
            status, outcome = (wish, wish.value) if wish else (asked.status, asked.outcome)
            LeaseStore(db).settle(row, status, outcome)

        self.write(settle)

    def transact(self, work: Callable[[Session], T]) -> T:
        """Run one transaction that changes nothing of the job; otherwise like `write`.

        While the database is away, or its disk is full, it is run again.

        Raises:
            LeaseLost: the database stayed away too long.
        """
        while True:
            try:
                with transaction() as db:
                    return work(db)
            except (OperationalError, InterfaceError) as error:
                if time.monotonic() > self.valid_until or is_draining():
                    raise LeaseLost("the database was away for longer than the lease") from error
                log.warning("the database is away; waiting", error=str(error).splitlines()[0])
                time.sleep(WAIT_S)


def _no() -> None:
    """Of a process that leaves it to another to tell."""


class Heart(threading.Thread):
    """Says that this process lives, and keeps its lease; training cannot starve it."""

    def __init__(
        self, worker: str, device: str, num_gpus: int = 0, usage: Callable[[], Usage | None] = _no
    ) -> None:
        super().__init__(name="heart", daemon=True)
        self.usage = usage
        self.worker, self.device, self.num_gpus = worker, device, num_gpus
        self.lease: Lease | None = None
        self.ids: dict[str, Any] = {}  # for the log lines of this thread
        self.stopped = threading.Event()

    def run(self) -> None:
        every_s = min(LONGEST_BEAT_S, get_settings().lease_s / 3)
        while not self.stopped.wait(every_s):
            with bound_contextvars(**self.ids):
                self._try_to_beat()

    def _try_to_beat(self) -> None:
        try:
            self.beat()
        except SQLAlchemyError as error:
            log.warning("heartbeat failed", error=str(error).splitlines()[0])

    def beat(self) -> None:
        lease = self.lease
        if lease is not None and lease.status is not None:
            lease.renew()
        with transaction() as db:
            job_id = lease.job_id if lease else None
            WorkerStore(db).beat(self.worker, self.device, job_id, self.num_gpus, self.usage())

    @contextmanager
    def holding(self, lease: Lease) -> Iterator[Lease]:
        """Keep the lease alive while the block runs."""
        self.lease, self.ids = lease, get_contextvars()
        try:
            yield lease
        finally:
            self.lease, self.ids = None, {}

    def stop(self) -> None:
        """Leave: an idle worker that ends takes its name with it."""
        self.stopped.set()
        try:
            with transaction() as db:
                WorkerStore(db).leave(self.worker)
        except SQLAlchemyError as error:
            log.info("could not sign off", error=str(error).splitlines()[0])
