"""The worker's command as a process of its own, for tests that look at it from outside."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text

from shared.db.engine import transaction
from shared.db.tables import WorkerRow
from shared.db.workers import WorkerStore
from shared.queue import wake_workers
from tests.servers import wait_for

READY_S = 90


@contextmanager
def worker_command(log: Path, *arguments: str, **env: str) -> "Iterator[subprocess.Popen[bytes]]":
    """`unroll worker ARGUMENTS` on the databases of the test; killed if it still runs at the end."""
    command = [sys.executable, "-m", "workers", *arguments]
    with (
        log.open("wb") as out,
        subprocess.Popen(
            command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env={**os.environ, **env}
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def workers() -> list[WorkerRow]:
    with transaction() as db:
        return list(WorkerStore(db).all())


def wait_for_workers(number: int) -> list[WorkerRow]:
    assert wait_for(lambda: len(workers()) == number, READY_S), workers()
    return workers()


def wake(*job_ids: str) -> None:
    wake_workers(list(job_ids))


def statuses() -> list[str]:
    with transaction() as db:
        return [*db.execute(text("SELECT status FROM jobs ORDER BY id")).scalars()]


def put_off(interval: str) -> None:
    """Let no queued job be tried before so long from now."""
    with transaction() as db:
        db.execute(
            text("UPDATE jobs SET not_before = now() + :wait ::interval"), {"wait": interval}
        )
