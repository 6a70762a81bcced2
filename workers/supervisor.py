"""Several training processes under one command: started, started again, and stopped together."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from types import FrameType

from shared.logging import get_logger

log = get_logger(__name__)
WATCH_EVERY_S = 0.2
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
STEADY_S = 60.0  # one that lived so long starts again after the first pause
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Slot:
    """The place of one training process. Time comes in as a parameter, in monotonic seconds."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.command, self.env = list(command), {**env, "UNROLL_SUPERVISED": str(os.getpid())}
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = self.due_at = 0.0
        self.pause_s = FIRST_PAUSE_S

    def start(self, now: float) -> None:
        # the same process group as ours: a terminal's Ctrl-C reaches all, a supervisor can kill all
        self.process = subprocess.Popen(self.command, env=self.env, stdin=subprocess.DEVNULL)
        self.started_at = now

    def look(self, now: float) -> None:
        """Start again what ended, after a pause that doubles while it keeps ending."""
        if self.process is None:
            if now >= self.due_at:
                self.start(now)
        elif self.process.poll() is not None:
            steady = now - self.started_at >= STEADY_S
            self.pause_s = FIRST_PAUSE_S if steady else min(2 * self.pause_s, LONGEST_PAUSE_S)
            code, pause_s = self.process.returncode, self.pause_s
            log.warning("training process ended", code=code, again_in_s=pause_s)
            self.process, self.due_at = None, now + pause_s

    def ask_to_stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        if self.process is not None:
            self.process.wait()


class Supervisor:
    """Runs slots until a signal; a job in training is then saved and handed back first."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self.slots = list(slots)
        self.stopping = threading.Event()

    def run(self) -> None:
        for number in STOP_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                signal.signal(number, self._stop)
        for slot in self.slots:
            slot.start(time.monotonic())
        while not self.stopping.wait(WATCH_EVERY_S):
            for slot in self.slots:
                slot.look(time.monotonic())
        # no limit of ours: whoever stops us knows the grace, and a lease that expires is rescued
        for slot in self.slots:
            slot.ask_to_stop()
        for slot in self.slots:
            slot.wait()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping.set()
