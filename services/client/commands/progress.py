"""Commands about what a job left: its curves, its events, its checkpoints."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from services.client.client import Checkpoint, Event, UnrollClient
from services.client.commands import completion
from services.client.commands.completion import asked
from services.client.commands.exits import Code, CommandError
from services.client.commands.jobs import JobId
from services.client.commands.options import Json, with_config
from services.client.commands.output import (
    line,
    note,
    num_bytes,
    print_fields,
    print_json,
    print_table,
    sparkline,
)
from services.client.commands.watching import event_line
from services.client.config import ClientConfig
from services.client.models import Series

CURVE_COLUMNS = ("NAME", "POINTS", "LEAST", "MOST", "LAST", "CURVE")
CHECKPOINT_COLUMNS = ("ID", "STEP", "EPOCH", "KEPT AS", "SIZE", "CREATED")
CheckpointId = Annotated[str, typer.Argument(metavar="CHECKPOINT", help="Id of a checkpoint.")]
checkpoints = typer.Typer(help="Checkpoints: list, show, download.", no_args_is_help=True)


@with_config
def metrics(
    config: ClientConfig,
    job_id: JobId,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Only these curves.",
            autocompletion=asked(completion.metric_names),
        ),
    ] = None,
    max_points: Annotated[
        int, typer.Option(min=2, max=10_000, help="Points of a curve that are looked at.")
    ] = 500,
    csv: Annotated[Path | None, typer.Option(help="Write every point to this file.")] = None,
    tfevents: Annotated[
        Path | None, typer.Option(help="The same for TensorBoard: a file, or its log folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the curves of a job, or save them."""
    with UnrollClient(config=config) as client:
        if csv:
            _save(client, job_id, names, csv, "csv")
        if tfevents:
            _save(client, job_id, names, _event_file(tfevents, job_id), "tfevents")
        if csv or tfevents:
            return
        found = client.metrics(job_id, names or (), max_points=max_points)
    if as_json:
        print_json(found.raw)
    else:
        print_table(CURVE_COLUMNS, (_curve_row(*curve) for curve in found.series.items()))
        empty = [name for name, series in found.series.items() if not series.step]
        if empty:
            note(
                f"Nothing was measured as {', '.join(empty)}; without names, all curves are shown."
            )


@with_config
def events(config: ClientConfig, job_id: JobId, as_json: Json = False) -> None:
    """Print what has happened to a job, oldest first; `watch` goes on from there."""
    with UnrollClient(config=config) as client:
        for event in _events(client, job_id):
            if as_json:
                print_json(event.raw, one_line=True)
            else:
                line(event_line(event))


def _events(client: UnrollClient, job_id: str) -> Iterator[Event]:
    after = None
    while (page := client.events_page(job_id, after=after)).data:
        yield from page.data
        after = page.last_id


@checkpoints.command("list")
@with_config
def list_checkpoints(config: ClientConfig, job_id: JobId, as_json: Json = False) -> None:
    """List the checkpoints that were kept of a job, newest first."""
    with UnrollClient(config=config) as client:
        page = client.checkpoints(job_id)
    if as_json:
        print_json(page.raw)
    else:
        print_table(CHECKPOINT_COLUMNS, map(_checkpoint_row, page.data))


@checkpoints.command("show")
@with_config
def show_checkpoint(config: ClientConfig, checkpoint: CheckpointId, as_json: Json = False) -> None:
    """Show one checkpoint: step, metrics, size, sha256."""
    with UnrollClient(config=config) as client:
        found = client.checkpoint(checkpoint)
    if as_json:
        print_json(found.raw)
    else:
        print_fields(found.raw)


@checkpoints.command("download")
@with_config
def download_checkpoint(
    config: ClientConfig,
    checkpoint: CheckpointId,
    path: Annotated[
        Path | None, typer.Argument(dir_okay=False, help="Default: CHECKPOINT.safetensors.")
    ] = None,
) -> None:
    """Write a checkpoint to a safetensors file."""
    to = path or Path(f"{checkpoint}.safetensors")
    with UnrollClient(config=config) as client, written(to):
        client.download_checkpoint(checkpoint, to)


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Says what a file holds once it is there; raises `CommandError` where it cannot be."""
    try:
        yield
    except OSError as fault:
        raise CommandError(f"{path}: {fault.strerror}", Code.USAGE) from fault
    note(f"{path} has {num_bytes(path.stat().st_size)}.")


def _save(
    client: UnrollClient,
    job_id: str,
    names: Sequence[str] | None,
    path: Path,
    format: Literal["csv", "tfevents"],
) -> None:
    with written(path):
        client.download_metrics(job_id, path, names or (), format=format)


def _event_file(path: Path, job_id: str) -> Path:
    """In a folder, a run of TensorBoard's: it finds files by `tfevents` in their names."""
    if not path.is_dir():
        return path
    run = path / job_id
    run.mkdir(exist_ok=True)
    return run / f"events.out.tfevents.{job_id}"


def _curve_row(name: str, series: Series) -> tuple[object, ...]:
    finite = [value for value in series.value if value is not None]
    least, most = (min(finite), max(finite)) if finite else (None, None)
    last = series.value[-1] if series.value else None
    return (name, len(series.step), least, most, last, sparkline(series.value))


def _checkpoint_row(kept: Checkpoint) -> tuple[object, ...]:
    marks = {"best": kept.is_best, "last": kept.is_last}
    roles = ", ".join(name for name, is_so in marks.items() if is_so) or "-"
    return (kept.id, kept.step, kept.epoch, roles, num_bytes(kept.bytes), kept.created_at)
