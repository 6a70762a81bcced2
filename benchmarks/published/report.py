"""Rows of results as a Markdown table, and that table inside RESULTS.md; trains nothing."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from benchmarks.published.goals import Bound, Goal

RESULTS = Path(__file__).parents[1] / "RESULTS.md"
OPENING, CLOSING = "<!-- published -->", "<!-- end of published -->"
HEADER = ("row", "recipe", "metric", "reached", "goal", "seconds", "published elsewhere")
_NOT_RUN = "not run"


@dataclass(frozen=True)
class Result:
    """How a job ended."""

    goal: Goal
    bound: Bound  # the goal's, or the n-gram's
    value: float | None
    seconds: float
    note: str = ""

    @property
    def is_within(self) -> bool:
        return self.value is not None and self.bound.holds(self.value)

    @property
    def is_in_time(self) -> bool:
        return self.goal.limit_s is None or self.seconds <= self.goal.limit_s

    @property
    def is_reached(self) -> bool:
        return self.is_within and self.is_in_time


def cells_of(result: Result) -> tuple[str, ...]:
    """What stands in the row, column by column."""
    goal, value = result.goal, result.value
    limit = f" in {goal.limit_s:g} s" if goal.limit_s is not None else ""
    missed = "" if result.is_within else " (missed)"
    late = "" if result.is_in_time else " (late)"
    return (
        f"`{goal.name}`",
        recipe(goal),
        goal.metric,
        f"{'none' if value is None else shown(value)}{missed}",
        f"{result.bound.words(shown)}{limit}{result.note}",
        f"{result.seconds:.0f}{late}",
        goal.published,
    )


def shown(value: float) -> str:
    """Three decimals, and a fourth below 0.1."""
    return f"{value:.4f}" if abs(value) < 0.1 else f"{value:.3f}"


def recipe(goal: Goal) -> str:
    """The network and its training in a few words."""
    network, training = goal.network, goal.training
    optimizer = training["optimizer"]
    words = [_cell(network["cell"], network["hidden_size"])]
    words += [word for name, word in _WORDS.items() if network.get(name)]
    words += [f"{name} {network[name]}" for name in ("dropout", "attention") if name in network]
    words += [f"lr {optimizer['lr']:g}", f"batch {training['batch_size']}"]
    if optimizer["weight_decay"]:
        words.append(f"decay {optimizer['weight_decay']:g}")
    return ", ".join([*words, f"{training['epochs']} epochs"])


_WORDS = {"bidirectional": "both directions", "condition": "told at every step"}


def _cell(cell: str | dict[str, object], hidden_size: int) -> str:
    if isinstance(cell, str):
        return f"{cell} {hidden_size}"
    options = [str(name if value is True else value) for name, value in cell.items()]
    return " ".join([*options, str(hidden_size)])


def machine() -> str:
    """Where it ran, in words."""
    import torch

    return (
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}"
    )


def write_results(results: list[Result], goals: tuple[Goal, ...], path: Path = RESULTS) -> None:
    """Put rows into the table of `path`; those that were not run now stay as they are."""
    head, _, rest = path.read_text(encoding="utf-8").partition(OPENING)
    old, _, tail = rest.partition(CLOSING)
    rows = {line.split("|")[1].strip(): line for line in old.splitlines() if line.startswith("| `")}
    rows |= {cells_of(each)[0]: line_of(each) for each in results}
    missing = ("", "", _NOT_RUN, "", "", "")
    lines = [rows.get(f"`{goal.name}`", _line((f"`{goal.name}`", *missing))) for goal in goals]
    block = "\n".join([OPENING, f"Machine: {machine()}.", "", *HEAD, *lines, CLOSING])
    path.write_text(head + block + tail, encoding="utf-8")


def line_of(result: Result) -> str:
    return _line(cells_of(result))


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


HEAD = (_line(HEADER), "|---" * len(HEADER) + "|")
