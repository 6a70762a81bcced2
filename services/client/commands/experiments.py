"""Commands about experiments."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import get_terminal_size
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from services.client.client import (
    Experiment,
    ExperimentPlan,
    ExperimentSummary,
    UnrollClient,
)
from services.client.commands import completion
from services.client.commands.completion import asked
from services.client.commands.exits import BY_JOB_STATUS, Code, CommandError
from services.client.commands.jobs import list_document
from services.client.commands.options import ExitStatus, Json, WaitS, with_config
from services.client.commands.output import (
    age,
    cell_text,
    duration,
    err,
    line,
    note,
    print_fields,
    print_json,
    print_table,
)
from services.client.commands.spec import read_spec
from services.client.config import ClientConfig
from services.client.experiment_views import ArmCurve, Standing

ExperimentId = Annotated[
    str,
    typer.Argument(
        metavar="EXPERIMENT",
        help="Id of an experiment.",
        show_default=False,
        autocompletion=asked(completion.experiments),
    ),
]
COLUMNS = ("ID", "NAME", "STATUS", "ARMS", "SEEDS", "DONE", "METRIC", "AGE")
ARM_COLUMNS = ("ARM", "PARAMETERS", "STEPS", "DURATION OF A JOB")
CURVE_COLUMNS = ("ARM", "POINTS", "STEP", "MEAN", "LOW", "HIGH", "SEEDS")
BAR_WIDTH, LEAST_BAR = 24, 8
OTHER_COLUMNS = 76  # width of a leaderboard without its arms and bars
app = typer.Typer(
    help="Experiments: create, list, show, watch, curves, extend, cancel, delete.",
    no_args_is_help=True,
)


@app.command()
@with_config
def create(
    config: ClientConfig,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="YAML or JSON: base, vary, seeds.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the arms.")] = False,
    as_json: Json = False,
) -> None:
    """Queue the jobs of an experiment and print its id."""
    spec = read_spec(path)
    if "base" not in spec and "network" in spec:
        raise CommandError(f"{path} describes a job; `unroll submit --file` takes it", Code.USAGE)
    with UnrollClient(config=config) as client:
        if dry_run:
            _show_plan(client.plan_experiment(spec), as_json=as_json)
            return
        found = client.create_experiment(spec)
    if as_json:
        print_json(found.raw)
        return
    line(found.id)
    note(
        f"{found.name}: {found.num_arms} arms, {found.progress.total} jobs. "
        f"Follow it with `unroll experiments watch {found.id}`."
    )


@app.command("list")
@with_config
def list_(config: ClientConfig, as_json: Json = False) -> None:
    """List experiments, newest first."""
    with UnrollClient(config=config) as client:
        found = list(client.experiments())
    if as_json:
        print_json(list_document([each.raw for each in found]))
    else:
        print_table(COLUMNS, map(_row, found))


@app.command()
@with_config
def show(
    config: ClientConfig,
    experiment: ExperimentId,
    metric: Annotated[
        str | None,
        typer.Option(
            help="Rank by this one, as val/loss.",
            autocompletion=asked(completion.experiment_metrics),
        ),
    ] = None,
    exit_status: ExitStatus = False,
    as_json: Json = False,
) -> None:
    """Show the leaderboard and what it has shown."""
    with UnrollClient(config=config) as client:
        found = client.experiment(experiment, metric=metric)
    _finish(found, exit_status=exit_status, as_json=as_json)


@app.command()
@with_config
def watch(
    config: ClientConfig,
    experiment: ExperimentId,
    wait_s: WaitS = None,
    exit_status: ExitStatus = False,
    as_json: Json = False,
) -> None:
    """Follow an experiment to its end, then show its leaderboard."""
    with UnrollClient(config=config) as client:
        states = client.follow_experiment(experiment, timeout_s=wait_s)
        try:
            found = _last_shown(states)
        except KeyboardInterrupt:
            note(f"It goes on; `unroll experiments cancel {experiment}` ends it.")
            raise
    _finish(found, exit_status=exit_status, as_json=as_json)


@app.command()
@with_config
def curves(
    config: ClientConfig,
    experiment: ExperimentId,
    metric: Annotated[str, typer.Option(help="Name of a curve.")] = "val/loss",
    as_json: Json = False,
) -> None:
    """Show where the curve of each arm ends: the mean over its seeds, and the lowest and highest."""
    with UnrollClient(config=config) as client:
        found = client.experiment_curves(experiment, metric=metric)
    if as_json:
        print_json(found.raw)
    else:
        print_table(CURVE_COLUMNS, map(_curve_row, found.arms))


@app.command()
@with_config
def extend(
    config: ClientConfig,
    experiment: ExperimentId,
    seeds: Annotated[list[int], typer.Argument(metavar="SEED...", help="New seeds.")],
    as_json: Json = False,
) -> None:
    """Train every arm with more seeds."""
    _do(config, lambda client: client.extend_experiment(experiment, seeds), as_json=as_json)


@app.command()
@with_config
def cancel(config: ClientConfig, experiment: ExperimentId, as_json: Json = False) -> None:
    """Cancel all jobs of an experiment that have not ended."""
    _do(config, lambda client: client.cancel_experiment(experiment), as_json=as_json)


@app.command()
@with_config
def delete(config: ClientConfig, experiment: ExperimentId) -> None:
    """Forget an experiment that has ended; its jobs stay."""
    with UnrollClient(config=config) as client:
        client.delete_experiment(experiment)
    note(f"Deleted {experiment}; its jobs are still there.")


def _do(config: ClientConfig, ask: Callable[[UnrollClient], Experiment], *, as_json: bool) -> None:
    with UnrollClient(config=config) as client:
        found = ask(client)
    if as_json:
        print_json(found.raw)
    else:
        print_fields({"id": found.id, "status": found.status, "jobs": _counts(found)})


def _last_shown(states: Iterator[Experiment]) -> Experiment:
    """Show how far it is, on stderr, until it has ended: a bar, or a line whenever a job ends."""
    is_terminal = sys.stderr.isatty()
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    said, found = "", None
    with Progress(*columns, console=err(), disable=not is_terminal) as board:
        task = board.add_task("", total=1.0)
        for found in states:
            text = f"{found.name}: {_counts(found)}"
            board.update(task, completed=found.progress.fraction, description=text)
            if not is_terminal and text != said:
                note(text)
            said = text
    assert found is not None
    return found


def _counts(found: ExperimentSummary) -> str:
    progress = found.progress
    failed = f", {progress.failed} failed" if progress.failed else ""
    return f"{progress.ended} of {progress.total} ended{failed}"


def _finish(found: Experiment, *, exit_status: bool, as_json: bool) -> None:
    if as_json:
        print_json(found.raw)
    else:
        _show_leaderboard(found)
    if exit_status and found.status in BY_JOB_STATUS:
        raise typer.Exit(BY_JOB_STATUS[found.status])


def _show_leaderboard(found: Experiment) -> None:
    """The table on stdout, what it means on stderr."""
    names = ("MEAN", "SD", "N", "P", "EFFECT", "TEST", "PARAMETERS", "TRAINED")
    low, high = _bounds(found.leaderboard)
    width = _bar_width(found.leaderboard)
    bars = [[interval_bar(each, low, high, width)] if width else [] for each in found.leaderboard]
    rows = [
        (place, each.label, *_numbers(each), *bar)
        for place, (each, bar) in enumerate(zip(found.leaderboard, bars, strict=True), start=1)
    ]
    print_table(("#", "ARM", *names, *([found.metric] if width else [])), rows)
    note(f"{found.status}: {found.conclusion}")
    for warning in found.warnings:
        note(f"Mind: {warning}")


def _bar_width(standings: list[Standing]) -> int:
    """What a terminal has room for; 0 where that shows nothing."""
    if not sys.stdout.isatty():
        return BAR_WIDTH
    longest = max((len(each.label) for each in standings), default=0)
    room = min(get_terminal_size().columns - OTHER_COLUMNS - longest, BAR_WIDTH)
    return room if room >= LEAST_BAR else 0


def _numbers(each: Standing) -> tuple[object, ...]:
    numbers = (each.mean, each.std, each.n, each.p_value, each.effect_size, each.test_mean)
    took = None if each.train_s is None else duration(each.train_s)
    return (*numbers, each.parameters, took)


def _bounds(standings: list[Standing]) -> tuple[float, float]:
    """The ends of all intervals that are shown; of values where there is no interval."""
    ends = [end for each in standings for end in (*(each.ci95 or ()), *each.values)]
    return (min(ends), max(ends)) if ends else (0.0, 0.0)


def interval_bar(each: Standing, low: float, high: float, width: int = BAR_WIDTH) -> str:
    """A mean and its interval on the scale that all arms share: `   ──────●──────   `."""
    if each.mean is None:
        return ""
    scale = (width - 1) / (high - low) if high > low else 0.0
    ends = each.ci95 or (min(each.values), max(each.values))
    first, middle, last = (round((end - low) * scale) for end in (ends[0], each.mean, ends[1]))
    marks = ("─" if first <= place <= last else " " for place in range(width))
    bar = "".join("●" if place == middle else mark for place, mark in enumerate(marks))
    return bar.rstrip()


def _show_plan(plan: ExperimentPlan, *, as_json: bool) -> None:
    if as_json:
        print_json(plan.raw)
        return
    rows = [(a.label, a.parameters, a.steps, duration(a.estimated_duration_s)) for a in plan.arms]
    print_table(ARM_COLUMNS, rows)
    seeds, took = ", ".join(map(str, plan.seeds)), duration(plan.estimated_duration_s)
    note(f"{plan.num_jobs} jobs (seeds {seeds}), ranked by {plan.metric}, {took} of training.")
    if plan.matching:
        note(f"Within {plan.matching['largest_deviation']:.1%} of the base's parameters.")


def _row(found: ExperimentSummary) -> tuple[object, ...]:
    fraction = f"{found.progress.fraction:.0%}"
    sizes = (found.num_arms, len(found.seeds))
    return (
        found.id,
        found.name,
        found.status,
        *sizes,
        fraction,
        found.metric,
        age(found.created_at),
    )


def _curve_row(curve: ArmCurve) -> tuple[object, ...]:
    last: list[Any] = [
        part[-1] if part else None
        for part in (curve.step, curve.mean, curve.low, curve.high, curve.num_jobs)
    ]
    return (curve.label, len(curve.step), *map(cell_text, last))
