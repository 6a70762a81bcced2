"""A supervisor of several processes: what ends starts again, and all end together."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.servers import is_alive, wait_for
from workers.supervisor import FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_S, Slot

ENDS = [sys.executable, "-c", "raise SystemExit(3)"]
RUN = """
import sys
from workers.supervisor import Slot, Supervisor
code = '''
import os, pathlib, signal, sys
def stop(*_):
    path.with_suffix(".stopped").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
path = pathlib.Path(sys.argv[1])
path.write_text(str(os.getpid()))
while True: signal.pause()
'''
Supervisor([Slot([sys.executable, "-c", code, name], {}) for name in sys.argv[1:]]).run()
"""


def ended(slot: Slot, now: float) -> None:
    slot.start(now)
    assert slot.process is not None
    slot.process.wait()


def test_what_keeps_ending_starts_again_after_longer_and_longer_pauses() -> None:
    slot, pauses = Slot(ENDS, {}), []
    for _ in range(7):
        ended(slot, 0.0)
        slot.look(0.0)
        pauses.append(slot.due_at)

    assert pauses == [2.0, 4.0, 8.0, 16.0, 30.0, LONGEST_PAUSE_S, LONGEST_PAUSE_S]


def test_what_ran_steadily_starts_again_soon() -> None:
    slot = Slot(ENDS, {})
    slot.pause_s = LONGEST_PAUSE_S
    ended(slot, 0.0)

    slot.look(STEADY_S)
    assert (slot.process, slot.due_at) == (None, STEADY_S + FIRST_PAUSE_S)
    slot.look(slot.due_at - 0.1)
    assert slot.process is None
    slot.look(slot.due_at)
    assert slot.process is not None
    slot.wait()


def pid_in(file: Path) -> int:
    return int(file.read_text() or 0)  # it is empty for a moment while it is written anew


def written(files: list[Path]) -> bool:
    return all(file.exists() and file.read_text() for file in files)


def test_a_killed_process_is_replaced_and_sigterm_stops_all(tmp_path: Path) -> None:
    files = [tmp_path / "one", tmp_path / "two"]
    with subprocess.Popen([sys.executable, "-c", RUN, *map(str, files)]) as supervisor:
        assert wait_for(lambda: written(files))
        killed = pid_in(files[0])
        os.kill(killed, signal.SIGKILL)
        assert wait_for(lambda: pid_in(files[0]) not in (0, killed))
        pids = [pid_in(file) for file in files]

        supervisor.terminate()

        assert supervisor.wait(60) == 0
    assert not any(is_alive(pid) for pid in pids)
    assert all(file.with_suffix(".stopped").exists() for file in files)
