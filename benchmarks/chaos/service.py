"""The whole service and each way to strike it; knows neither when nor what it is to survive.

Every process starts from the thread that calls: on Linux it ends with that thread.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import redis

from services.embedded.process import Child, wait_until_gone
from services.standalone import Standalone, StandaloneOptions

LEASE_S = 3.0
SETTINGS: Mapping[str, str] = {
    "UNROLL_LEASE_S": str(LEASE_S),
    "UNROLL_SWEEP_EVERY_S": "0.5",
    "UNROLL_RETRY_BASE_S": "0.2",
    "UNROLL_RETRY_CAP_S": "1",
}
"""So that what takes minutes in production takes seconds; set before a `Service` is made."""
GONE_S = 60.0
FROZEN_S = 2 * LEASE_S


class Service:
    """A running `Standalone` whose workers are watched here, because so many ends are our own."""

    def __init__(self, options: StandaloneOptions) -> None:
        self.standalone = Standalone(options)
        self.counts: Counter[str] = Counter()
        self.died: list[str] = []  # obituaries of processes that nobody struck
        self._struck: set[str] = set()
        self._frozen: tuple[list[int], float] | None = None

    @property
    def workers(self) -> list[Child]:
        return self.standalone.workers

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of one statement, on a connection of its own."""
        url = self.standalone.servers.database_url.replace("postgresql+psycopg", "postgresql")
        with psycopg.connect(url) as connection:
            return connection.execute(sql, values).fetchall()

    def tend(self) -> None:
        """Start again what ended, and wake what was frozen long enough."""
        for child in (*self.standalone.services, *self.workers):
            if child.exit_code is not None:
                if child.name not in self._struck:
                    self.died.append(child.obituary())
                self._struck.discard(child.name)
                child.start()
        if self._frozen is not None and time.monotonic() > self._frozen[1]:
            self.wake()

    def kill_group(self, worker: Child) -> None:
        """A worker with its training process, as a machine that loses power."""
        self._struck.add(worker.name)
        worker.kill()
        self.counts["workers killed with their training process"] += 1

    def kill_main(self, worker: Child) -> None:
        """The main process alone; the kernel ends its training process after it."""
        self._struck.add(worker.name)
        os.kill(worker.pid, signal.SIGKILL)
        self.counts["main processes of workers killed"] += 1

    def kill_training(self, worker: Child) -> None:
        """The training process alone; its worker forks another."""
        for pid in children_of(worker.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.counts["training processes killed"] += 1

    def freeze(self, worker: Child) -> None:
        """Stop a training process for longer than its lease."""
        self.wake()
        pids = children_of(worker.pid)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        self._frozen = (pids, time.monotonic() + FROZEN_S)
        self.counts["training processes frozen past their lease"] += len(pids)

    def wake(self) -> None:
        for pid in self._frozen[0] if self._frozen else ():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._frozen = None

    def flush_valkey(self) -> None:
        """All messages are lost."""
        with redis.Redis.from_url(self.standalone.servers.redis_url) as client:
            client.flushall()
        self.counts["Valkey flushed"] += 1

    def restart_valkey(self) -> None:
        self.standalone.servers.restart_valkey()
        self.counts["Valkey restarted"] += 1

    def restart_postgres(self) -> None:
        """An immediate shutdown: nothing is written any more, as in a crash."""
        postgres = self.standalone.servers.postgres
        assert postgres is not None
        os.kill(postgres.pid, signal.SIGQUIT)
        wait_until_gone(postgres.pid, GONE_S)
        self.standalone.servers.restart_postgres()
        self.counts["Postgres restarted after an immediate shutdown"] += 1

    def restart_api(self) -> None:
        """Kill it in the middle of whatever it does; others go on before it is back."""
        api = next(child for child in self.standalone.services if child.name == "api")
        self._struck.add(api.name)
        api.kill()
        wait_until_gone(api.pid, GONE_S)
        self.counts["API killed and restarted"] += 1

    def settle(self, is_over: Callable[[], bool], timeout_s: float) -> bool:
        """Tend until it is over; whether it was in time."""
        deadline = time.monotonic() + timeout_s
        while not is_over():
            if time.monotonic() > deadline:
                return False
            self.tend()
            time.sleep(0.2)
        return True

    def all_ended(self, kind: str, number: int) -> bool:
        """Whether so many jobs of this kind are there and none waits or trains any more."""
        with suppress(psycopg.OperationalError):
            return self.query(ENDED, kind) == [(number, 0)]
        return False


ENDED = """
    SELECT count(*), count(*) FILTER (WHERE status NOT IN ('succeeded', 'failed', 'cancelled'))
    FROM jobs WHERE metadata->>'kind' = %s
"""


def children_of(pid: int) -> list[int]:
    """Processes that the main thread of this one started."""
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return []
