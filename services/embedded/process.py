"""How a child process starts, is watched and ends with all it started; knows no server."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from services.embedded import tether
from services.embedded.accounts import Account

LOG_TAIL_BYTES = 4000  # enough for a traceback, short enough for a terminal
LOG_LIMIT_BYTES = 16 * 2**20  # a larger log is set aside as `.1` at the next start
POLL_S = 0.02
PROC = Path("/proc")  # absent on macOS


class ChildFailed(RuntimeError):
    """A child ended, or stayed silent, when it should have been ready."""


class StillRunning(RuntimeError):
    """A process did not end when asked."""


@dataclass(frozen=True)
class Ending:
    """How a child is asked to end."""

    stop: signal.Signals = signal.SIGTERM  # what `request_stop` sends
    orphaned: signal.Signals = signal.SIGKILL  # what Linux sends when the supervisor dies
    grace_s: float = 10.0  # from `request_stop` until the whole group is killed


class Child:
    """One process in a session of its own, tied to the life of the thread that starts it.

    Linux counts the death of that *thread* as the parent's death: start children from one that lives
    as long as they should.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str],
        account: Account | None = None,
        ending: Ending | None = None,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self.env = dict(env)
        self.account = account or Account(os.geteuid(), os.getegid())
        self.ending = ending or Ending()
        self._process: subprocess.Popen[bytes] | None = None
        self._give_up_at: float | None = None  # on the monotonic clock, once asked to stop
        self._log_start = 0

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while the process runs; negative for the signal that ended it."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process.poll()

    def start(self) -> None:
        """Start the process; its output is appended to the log."""
        self.reap()
        arguments = [os.getpid(), int(self.ending.orphaned), self.account.uid, self.account.gid]
        with open_log(self.log) as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", tether.__file__, *map(str, arguments), *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                start_new_session=True,
            )

    def wait_ready(
        self, ready: Callable[[], bool], timeout_s: float, *, every_s: float = POLL_S
    ) -> None:
        """Return once `ready()` holds; raises `ChildFailed` when the process ends or time is up."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if self.exit_code is not None:
                raise ChildFailed(self.obituary())
            if time.monotonic() > deadline:
                raise ChildFailed(
                    f"{self.name} was not ready within {timeout_s:g} s; {self._tail()}"
                )
            time.sleep(every_s)

    def run(self, timeout_s: float) -> None:
        """Start a process that ends by itself and wait for it.

        Raises `ChildFailed` when it fails or takes longer.
        """
        self.start()
        assert self._process is not None
        try:
            if self._process.wait(timeout_s) != 0:
                raise ChildFailed(self.obituary())
        except subprocess.TimeoutExpired:
            raise ChildFailed(
                f"{self.name} took longer than {timeout_s:g} s; {self._tail()}"
            ) from None
        finally:
            self.reap()

    def request_stop(self) -> None:
        """Send the stop signal, once: to many programs a second one means "at once"."""
        if self._process is not None and self._give_up_at is None:
            self._give_up_at = time.monotonic() + self.ending.grace_s
            self._process.send_signal(self.ending.stop)

    def stop(self) -> None:
        """Ask the process to end, wait out its grace, then kill what is left of its group."""
        self.request_stop()
        if self._process is None or self._give_up_at is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, self._give_up_at - time.monotonic()))
        self.reap()

    def kill(self) -> None:
        """Kill the process and its group without waiting."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):  # macOS: EPERM when all are zombies
                os.killpg(self._process.pid, signal.SIGKILL)

    def reap(self) -> None:
        """Kill whatever the process left in its group, and forget it."""
        if self._process is None:
            return
        self.kill()
        self._process.wait()
        self._process = self._give_up_at = None

    def obituary(self) -> str:
        """One line on how the process ended, then the end of its log."""
        code = self.exit_code
        assert code is not None, f"{self.name} is running"
        how = f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
        return f"{self.name} ended {how}; {self._tail()}"

    def log_tail(self) -> str:
        """What the process wrote last, since its latest start."""
        with self.log.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, end - LOG_TAIL_BYTES))
            return log.read().decode(errors="replace").strip()

    def _tail(self) -> str:
        return f"the end of {self.log}:\n{self.log_tail() or '(empty)'}"


def open_log(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    return path.open("ab")


def command_line(pid: int) -> str | None:
    """The command line of a live process; None when there is none (a zombie has ended too)."""
    try:
        if not PROC.is_dir():
            return _command_line_by_ps(pid)
        state = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
        command = (PROC / str(pid) / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else command.replace(b"\0", b" ").decode(errors="replace").strip()


def _command_line_by_ps(pid: int) -> str | None:
    listing = subprocess.run(
        ["/bin/ps", "-ww", "-o", "stat=,command=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, command = listing.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else command.strip()


def wait_until_gone(pid: int, timeout_s: float) -> None:
    """Return once no live process has `pid`; raises `StillRunning` when time is up."""
    deadline = time.monotonic() + timeout_s
    while command_line(pid) is not None:
        if time.monotonic() > deadline:
            raise StillRunning(
                f"process {pid} is still running after {timeout_s:g} s; see `ps {pid}`"
            )
        time.sleep(POLL_S)


def end_stale(pid_file: Path, argument: Path, stop: signal.Signals, timeout_s: float) -> None:
    """End the server that a killed supervisor left: the process in `pid_file`, if it is that server.

    A process that runs without `argument` on its command line merely reuses the pid: left alone.
    Raises `StillRunning` when the server does not end in time.
    """
    try:
        pid = int(pid_file.read_text().split(maxsplit=1)[0])
    except (FileNotFoundError, IndexError, ValueError):
        return
    if f" {argument} " in f"{command_line(pid)} ":
        with suppress(ProcessLookupError):
            os.kill(pid, stop)
        wait_until_gone(pid, timeout_s)
