"""Look after the queue: rescue jobs of lost workers, send lost messages again, collect rubbish."""

import threading
import time

import redis
from sqlalchemy.exc import SQLAlchemyError

from shared.db.blobs import BlobStore
from shared.db.engine import transaction
from shared.db.idempotency import forget_old_keys
from shared.db.keys import forget_old_logins
from shared.db.leases import LeaseStore
from shared.db.workers import WorkerStore
from shared.logging import get_logger
from shared.queue import num_messages, wake_workers

log = get_logger(__name__)
COLLECT_EVERY = 120  # sweeps
COLLECT_S = 2.0  # rescue of lost jobs waits no longer
STOP_S = 5.0


def sweep(*, collect: bool = False) -> None:
    """One pass. Any process may call it at any time: an advisory lock lets one act."""
    with transaction() as db:
        leases = LeaseStore(db)
        if not leases.try_sweep_lock():
            return
        rescued = leases.rescue_expired()
        if collect:
            forget_old_keys(db)
            forget_old_logins(db)
            WorkerStore(db).forget_lost()
        db.flush()
        unsent = list(leases.unsent(_num_messages()))
    if rescued:
        log.warning("jobs taken back from lost workers", count=rescued)
    if unsent:
        wake_workers(unsent)
    if collect:
        collect_orphans()


def collect_orphans(most_s: float = COLLECT_S) -> None:
    """Delete bytes that nothing names, a batch a transaction; what is left waits for the next time."""
    deadline, num_deleted = time.monotonic() + most_s, 1
    while num_deleted and time.monotonic() < deadline:
        with transaction() as db:
            may_act = LeaseStore(db).try_sweep_lock()
            num_deleted = BlobStore(db).delete_orphans() if may_act else 0


def _num_messages() -> int:
    """What the broker holds; nothing while it is away, so that all is sent again later."""
    try:
        return num_messages()
    except redis.RedisError:
        return 0


class Sweeper(threading.Thread):
    """Sweeps until stopped; a database that is away is tried again at the next pass."""

    def __init__(self, every_s: float) -> None:
        super().__init__(name="sweeper", daemon=True)
        self.every_s = every_s
        self.stopped = threading.Event()

    def run(self) -> None:
        passes = 0
        while not self.stopped.wait(self.every_s):
            try:
                sweep(collect=passes % COLLECT_EVERY == 0)
                passes += 1
            except SQLAlchemyError as error:
                log.warning("sweep failed; trying again", error=str(error))
            except Exception as error:
                log.error("sweep failed; trying again", exc_info=error)

    def stop(self) -> None:
        """Ask for the end and wait for the pass under way."""
        self.stopped.set()
        self.join(STOP_S)
