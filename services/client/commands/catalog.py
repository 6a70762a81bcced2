"""Commands about what there is: cells, trained models, workers and the queue before them."""

from typing import Annotated

import typer

from services.client.client import Cell, Model, NotFound, UnrollClient
from services.client.commands import completion
from services.client.commands.completion import asked
from services.client.commands.jobs import list_document
from services.client.commands.options import Json, ModelName, with_config
from services.client.commands.output import (
    cell_text,
    duration,
    note,
    print_fields,
    print_json,
    print_table,
)
from services.client.config import ClientConfig
from services.client.models import ModelVersion

MODEL_COLUMNS = ("NAME", "VERSIONS", "DATASET", "CELL", "MAPPING", "PARAMETERS", "CREATED")
VERSION_COLUMNS = (
    "VERSION",
    "ALIASES",
    "CELL",
    "MAPPING",
    "TEST",
    "CHECKS",
    "MS",
    "JOB",
    "CREATED",
)
WORKER_COLUMNS = ("WORKER", "DEVICE", "STATUS", "JOB", "LAST HEARTBEAT")
models = typer.Typer(help="Trained networks: list, show, unalias, rm.", no_args_is_help=True)


@with_config
def cells(
    config: ClientConfig,
    cell: Annotated[
        str | None,
        typer.Argument(
            help="Only this one, with its options.", autocompletion=asked(completion.cells)
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the recurrent cells."""
    with UnrollClient(config=config) as client:
        page = client.cells()
    chosen = _find(page.data, cell) if cell else None
    if as_json:
        print_json(chosen.raw if chosen else page.raw)
    elif chosen:
        print_fields(chosen.raw)
    else:
        rows = ((found.type, found.title, found.equation) for found in page.data)
        print_table(("TYPE", "TITLE", "EQUATION"), rows, is_whole=True)


@with_config
def queue(config: ClientConfig, as_json: Json = False) -> None:
    """Show who trains, and what waits."""
    with UnrollClient(config=config) as client:
        workers, waiting = client.workers(), client.queue()
    if as_json:
        print_json({"queue": waiting.raw, "workers": workers.raw})
        return
    rows = ((w.name, w.device, w.status, w.job_id, w.last_heartbeat_at) for w in workers.data)
    print_table(WORKER_COLUMNS, rows)
    depths = (f"{count} at priority {priority}" for priority, count in waiting.by_priority.items())
    oldest = f", the oldest for {duration(waiting.oldest_age_s)}" if waiting.depth else ""
    note(f"{waiting.depth} waiting{oldest}. {', '.join(depths)}".strip())


@models.command("list")
@with_config
def list_models(config: ClientConfig, as_json: Json = False) -> None:
    """List the models that can be called, newest first."""
    with UnrollClient(config=config) as client:
        found = list(client.models())
    if as_json:
        print_json(list_document([model.raw for model in found]))
        return
    print_table(MODEL_COLUMNS, (_row(model) for model in found if model.versions))
    if not found:
        note("No model yet: a job publishes one when it succeeds.")


@models.command("show")
@with_config
def show_model(
    config: ClientConfig,
    model: ModelName,
    as_json: Json = False,
) -> None:
    """Show a model's versions, the newest first."""
    with UnrollClient(config=config) as client:
        found = client.model(model)
    if as_json:
        print_json(found.raw)
    else:
        print_table(VERSION_COLUMNS, _version_rows(found))


def _find(cells: list[Cell], name: str) -> Cell:
    for cell in cells:
        if cell.type == name:
            return cell
    known = ", ".join(cell.type for cell in cells)
    raise NotFound(404, "not_found", f"There is no cell {name!r}; there are {known}.")


def _row(model: Model) -> tuple[object, ...]:
    newest = model.versions[0]
    cell = newest.network["cell"]["type"]
    facts = (newest.dataset, cell, newest.mapping, newest.num_parameters, newest.created_at)
    return (model.name, len(model.versions), *facts)


def _version_rows(model: Model) -> list[tuple[object, ...]]:
    return [
        (
            v.version,
            ", ".join(v.aliases) or "-",
            v.network["cell"]["type"],
            v.mapping,
            _tests(v),
            v.checks.status if v.checks else "-",
            v.checks.latency_ms if v.checks else None,
            v.job_id,
            v.created_at,
        )
        for v in model.versions
    ]


def _tests(version: ModelVersion) -> str:
    """Its metrics on the test split."""
    found = {name: value for name, value in version.metrics.items() if name.startswith("test/")}
    return ", ".join(f"{name} {cell_text(value)}" for name, value in found.items()) or "-"
