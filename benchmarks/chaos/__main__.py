"""Jobs that survive anything: train calmly, then while everything is struck, and compare.

    python -m benchmarks.chaos [--jobs 200] [--workers 3] [--seconds 90] [--seed 1]

First every distinct job trains undisturbed. Then `--jobs` of them are sent over HTTP while, for
`--seconds`, a random worker is killed with SIGKILL every two seconds, Valkey is flushed and
restarted, a training process is frozen past its lease, Postgres is shut down at once and the API
killed. When all is calm again every job must have succeeded exactly once, with the weights and
curves of the calm run. The exit code is 1 when one did not.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.chaos.service import SETTINGS
from benchmarks.chaos.trial import Outcome, Trial, run
from services.embedded.servers import erase
from services.standalone import StandaloneOptions

SHOWN = 5  # violations of each kind


def table_of(outcome: Outcome) -> Table:
    table = Table("what was done", "number")
    for what, seconds in outcome.took_s.items():
        table.add_row(what, f"{seconds:.0f} s")
    for what, number in outcome.done.items():
        table.add_row(what, str(number))
    table.add_section()
    table.add_row("[bold]what must not be[/]", "[bold]found[/]")
    for finding in outcome.findings:
        table.add_row(finding.what, str(len(finding.violations)))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description="Strike everything while jobs train.")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=90.0, help="of the storm")
    parser.add_argument("--seed", type=int, default=1, help="decides whom it strikes, and how")
    parser.add_argument("--port", type=int, default=18_000, help="of the API; the next one as well")
    parser.add_argument("--keep", action="store_true", help="leave the state directory, with logs")
    wanted = parser.parse_args()
    os.environ.update(SETTINGS)
    state = Path(tempfile.mkdtemp(prefix="unroll-chaos-"))
    state.chmod(0o755)  # Postgres and Valkey run under another account where we are root
    options = StandaloneOptions(
        state, port=wanted.port, inference_port=wanted.port + 1, workers=wanted.workers
    )
    try:
        outcome = run(Trial(wanted.jobs, wanted.seconds, wanted.seed), options)
    finally:
        if not wanted.keep:
            erase(state)
    Console().print(table_of(outcome))
    if wanted.keep:
        sys.stdout.write(f"logs: {state}/logs\n")
    for finding in outcome.findings:
        for violation in finding.violations[:SHOWN]:
            sys.stderr.write(f"{finding.what}: {', '.join(map(str, violation))}\n")
    sys.exit(not outcome.is_good)


if __name__ == "__main__":
    main()
