"""Everything on one machine under one supervisor; the only module that starts services and workers."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from signal import SIGTERM
from types import TracebackType
from typing import NoReturn, Self

import httpx

from services.embedded.ports import check_ports, url_of
from services.embedded.process import Child, ChildFailed, Ending, wait_until_gone
from services.embedded.record import Record, remove_record, write_record
from services.embedded.restarts import LIMIT, WINDOW_S, Restarts
from services.embedded.servers import Servers
from services.embedded.state import holder
from services.embedded.stopping import StopRequested, StopSignals
from shared.config import get_settings
from shared.logging import get_logger

MIGRATE_S, READY_S, DOWN_S = 120.0, 120.0, 90.0
WORKER_ENDING = Ending(grace_s=20.0)  # time to write a checkpoint and release the lease
SERVICE_ENDING = Ending(grace_s=10.0)  # time to finish requests
WATCH_EVERY_S, ASK_EVERY_S = 0.2, 0.1

log = get_logger(__name__)


class KeepsEnding(RuntimeError):
    """A process ended again after every restart it was granted."""


class NothingRunning(RuntimeError):
    """No supervisor holds the state directory."""


def default_state_dir() -> Path:
    """`UNROLL_STATE_DIR`, or `.unroll` in the current directory."""
    return Path(os.environ.get("UNROLL_STATE_DIR", ".unroll")).absolute()


@dataclass(frozen=True)
class StandaloneOptions:
    """What the operator may choose about a supervisor."""

    state_dir: Path = field(default_factory=default_state_dir)  # data, secrets and logs
    host: str = "127.0.0.1"  # where both services listen
    port: int = 8000  # API and dashboard
    inference_port: int = 8001
    workers: int = 1  # commands; how many jobs each trains at a time, `concurrency` says
    concurrency: int | None = None  # None: what a worker chooses, one job a GPU, else one
    device: str = "auto"  # of the workers: auto, cpu, cuda, or as cuda:0,cuda:1
    durable: bool = True  # False: data that is thrown away


def worker_arguments(concurrency: int | None, device: str) -> list[str]:
    """What a worker's command line says of jobs at a time and devices."""
    number = [] if concurrency is None else ["--concurrency", str(concurrency)]
    return [*number, "--device", device]


Commands = Mapping[str, Sequence[str]]  # of "migrate", "api", "inference" and "worker"


def commands_for(options: StandaloneOptions) -> Commands:
    """The command of each kind of process."""
    python = (sys.executable, "-m")
    where = ("--host", options.host, "--port")
    return {
        "migrate": (*python, "services.client.cli", "migrate"),
        "api": (*python, "services.api", *where, str(options.port)),
        "inference": (*python, "services.inference", *where, str(options.inference_port)),
        "worker": (*python, "workers", *worker_arguments(options.concurrency, options.device)),
    }


class Standalone:
    """Servers, migrations, both services and the workers, from start to end.

    A server whose URL the operator set (`UNROLL_DATABASE_URL`, `UNROLL_REDIS_URL`) is not started.
    As a context manager it starts and stops; `run` also watches, restarts and obeys signals. Use it
    from one thread that outlives it (see `Child`). `commands` replaces what is run, for tests.
    """

    def __init__(self, options: StandaloneOptions, *, commands: Commands | None = None) -> None:
        given = get_settings().model_fields_set
        self.options = options
        self.commands = commands or commands_for(options)
        self.servers = Servers(
            options.state_dir,
            durable=options.durable,
            postgres="database_url" not in given,
            valkey="redis_url" not in given,
        )
        self.api_url = url_of(options.host, options.port)
        self.inference_url = url_of(options.host, options.inference_port)
        self.services: list[Child] = []
        self.workers: list[Child] = []
        self._restarts: dict[str, Restarts] = {}
        self._due: dict[str, float] = {}  # when a process that ended starts again, monotonic

    def start(self) -> None:
        """Start everything and return once both services are ready; all or nothing.

        Raises `StateDirectoryInUse`, `PortInUse`, `AddressUnusable`, `ChildFailed` and whatever
        `Servers.start` raises.
        """
        self.servers.state.refuse_if_held()
        ports = {"--port": self.options.port, "--inference-port": self.options.inference_port}
        check_ports(self.options.host, ports)
        self.servers.start()
        try:
            self._start_processes()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the workers, then the services, then the servers; nothing remains."""
        if self.servers.state.is_held:  # else the record is another supervisor's
            remove_record(self.servers.state.path)
        for group in (self.workers, self.services):
            for child in group:
                child.request_stop()
            for child in group:
                child.stop()
            group.clear()
        self.servers.stop()

    def watch(self) -> NoReturn:
        """Restart what ends, until one process ends too often: raises `KeepsEnding`."""
        while True:
            for child in (*self.servers.running, *self.services, *self.workers):
                if child.exit_code is not None:
                    self._revive(child, time.monotonic())
            time.sleep(WATCH_EVERY_S)

    def run(self, on_ready: Callable[["Standalone"], None] | None = None) -> None:
        """Start, call `on_ready`, watch, and stop at SIGINT, SIGTERM or SIGHUP.

        A second signal kills workers and services at once. Raises what `start` and `watch` raise.
        """
        signals = StopSignals(hurry=self._kill_processes)
        with signals.installed():
            try:
                self.start()
                if on_ready is not None:
                    on_ready(self)
                self.watch()
            except StopRequested:
                log.info("stopping")
            finally:
                signals.stopping = True
                self.stop()

    def record(self) -> Record:
        """What `unroll.json` says of us."""
        running = (*self.servers.running, *self.services, *self.workers)
        environment = self._environment()
        return Record(
            pid=os.getpid(),
            api_url=self.api_url,
            inference_url=self.inference_url,
            database_url=environment["UNROLL_DATABASE_URL"],
            redis_url=environment["UNROLL_REDIS_URL"],
            ports={"api": self.options.port, "inference": self.options.inference_port},
            processes={child.name: child.pid for child in running},
        )

    def _start_processes(self) -> None:
        self._child("migrate", "migrate", SERVICE_ENDING).run(MIGRATE_S)
        self.services += [self._child(name, name, SERVICE_ENDING) for name in ("api", "inference")]
        names = [f"worker-{number}" for number in range(1, self.options.workers + 1)]
        self.workers += [self._child(name, "worker", WORKER_ENDING) for name in names]
        for child in (*self.services, *self.workers):
            child.start()
        for child, base in zip(self.services, (self.api_url, self.inference_url), strict=True):
            child.wait_ready(partial(self._is_ready, base), READY_S, every_s=ASK_EVERY_S)
        write_record(self.servers.state.path, self.record())

    def _child(self, name: str, kind: str, ending: Ending) -> Child:
        return Child(
            name,
            self.commands[kind],
            log=self.servers.state.logs / f"{name}.log",
            env=self._environment(),
            ending=ending,
        )

    def _environment(self) -> dict[str, str]:
        settings = get_settings()
        embedded = {"PYTHONUNBUFFERED": "1"}
        embedded["UNROLL_DATABASE_URL"] = (
            self.servers.database_url
            if self.servers.postgres
            else settings.database_url.get_secret_value()
        )
        embedded["UNROLL_REDIS_URL"] = (
            self.servers.redis_url if self.servers.valkey else settings.redis_url.get_secret_value()
        )
        # each worker shares the cores out among its own processes, and must know of the others
        embedded["UNROLL_CONCURRENCY"] = str(max(1, self.options.workers))
        clients = {"UNROLL_API_URL": self.api_url, "UNROLL_INFERENCE_URL": self.inference_url}
        return clients | os.environ | embedded

    def _is_ready(self, base: str) -> bool:
        for child in (*self.services, *self.workers):
            if child.exit_code is not None:
                raise ChildFailed(child.obituary())
        try:
            return httpx.get(f"{base}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def _revive(self, child: Child, now: float) -> None:
        if child.name not in self._due:
            pause_s = self._restarts.setdefault(child.name, Restarts()).pause_s(now)
            if pause_s is None:
                raise KeepsEnding(f"after {LIMIT} restarts in {WINDOW_S:g} s, {child.obituary()}")
            log.warning("process ended", process=child.name, code=child.exit_code, pause_s=pause_s)
            self._due[child.name] = now + pause_s
        elif now >= self._due[child.name]:
            del self._due[child.name]
            child.start()
            write_record(self.servers.state.path, self.record())

    def _kill_processes(self) -> None:
        for child in (*self.workers, *self.services):
            child.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def down(state_dir: str | Path, timeout_s: float = DOWN_S) -> None:
    """Ask the supervisor that holds `state_dir` to stop, and wait until it has.

    Raises `NothingRunning`, `StillRunning`, and `PermissionError` for another user's supervisor.
    """
    pid = holder(state_dir)
    if pid is None:
        raise NothingRunning(
            f"nothing runs on {Path(state_dir).absolute()}; name another directory with --state-dir"
        )
    with suppress(ProcessLookupError):
        os.kill(pid, SIGTERM)
    wait_until_gone(pid, timeout_s)
