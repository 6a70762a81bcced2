"""Commands about datasets."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from services.client.client import Dataset, UnrollClient
from services.client.commands import completion
from services.client.commands.completion import asked, words
from services.client.commands.exits import Code, CommandError
from services.client.commands.jobs import list_document
from services.client.commands.options import Json, either, with_config
from services.client.commands.output import (
    line,
    note,
    num_bytes,
    print_fields,
    print_json,
    print_table,
)
from services.client.commands.reading import with_reading
from services.client.config import ClientConfig

DatasetName = Annotated[
    str,
    typer.Argument(
        metavar="DATASET", help="Name or id.", autocompletion=asked(completion.datasets)
    ),
]
FORMATS = ("auto", "jsonl", "csv", "text", "npz", "parquet")
SPLITS = ("train", "val", "test")
LENGTHS = ("min", "median", "p95", "max")
COLUMNS = ("NAME", "SOURCE", "TRAIN", "VAL", "TEST", "INPUT", "TARGET", "MAPPING")
app = typer.Typer(help="Datasets: list, show, preview, upload, delete.", no_args_is_help=True)


@app.command("list")
@with_config
def list_(config: ClientConfig, as_json: Json = False) -> None:
    """List built-in and uploaded datasets."""
    with UnrollClient(config=config) as client:
        found = list(client.datasets())
    if as_json:
        print_json(list_document([dataset.raw for dataset in found]))
    else:
        print_table(COLUMNS, (_row(dataset) for dataset in found))


@app.command()
@with_config
def show(config: ClientConfig, dataset: DatasetName, as_json: Json = False) -> None:
    """Show one dataset: size, splits, schema, lengths."""
    with UnrollClient(config=config) as client:
        found = client.dataset(dataset)
    if as_json:
        print_json(found.raw)
    else:
        print_fields(_fields(found))


@app.command()
@with_config
def preview(
    config: ClientConfig,
    dataset: DatasetName,
    split: Annotated[
        str, typer.Option(help=either(SPLITS), autocompletion=words(*SPLITS))
    ] = "train",
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many records.")] = 20,
    as_json: Json = False,
) -> None:
    """Print the first records of a split, one JSON object a line."""
    with UnrollClient(config=config) as client:
        found = client.preview(dataset, split=split, limit=limit)
    if as_json:
        print_json(found)
        return
    for record in found["data"]:
        line(json.dumps(record, ensure_ascii=False))


@app.command()
@with_config
@with_reading
def upload(
    config: ClientConfig,
    options: dict[str, Any],
    source: Annotated[str, typer.Argument(metavar="FILE|URL", help="A file here, or a URL there.")],
    name: Annotated[str | None, typer.Option(help="Default: the file's name.")] = None,
    format_: Annotated[
        str, typer.Option("--format", help=either(FORMATS), autocompletion=words(*FORMATS))
    ] = "auto",
    as_json: Json = False,
) -> None:
    """Upload a file of records, or have a URL read that the service allows; prints the dataset's id."""
    is_url = "://" in source
    if not is_url and not Path(source).is_file():
        raise CommandError(f"There is no file {source!r}.", Code.USAGE)
    with UnrollClient(config=config) as client:
        send = client.add_url if is_url else client.upload
        try:
            found = send(source, name=name, format=format_, options=options)
        except OSError as fault:
            raise CommandError(f"{source}: {fault.strerror}", Code.USAGE) from fault
    if as_json:
        print_json(found.raw)
        return
    line(found.id)
    for warning in found.warnings:
        note(f"warning: {warning}")
    note(
        f"{found.name}: {_counts(found)}; `unroll datasets show {found.name}` says how it was read, "
        f"`unroll submit --dataset {found.name} --cell gru` trains on it."
    )


@app.command()
@with_config
def delete(config: ClientConfig, dataset: DatasetName) -> None:
    """Delete an uploaded dataset that no unfinished job needs."""
    with UnrollClient(config=config) as client:
        client.delete_dataset(dataset)
    note(f"Deleted {dataset}.")


def _row(dataset: Dataset) -> tuple[object, ...]:
    splits = [dataset.splits.get(name, 0) for name in SPLITS]
    kinds = [dataset.schema_.get(side, {}).get("kind", "-") for side in ("input", "target")]
    return (dataset.name, dataset.source, *splits, *kinds, ", ".join(dataset.mappings))


def _counts(dataset: Dataset) -> str:
    return ", ".join(f"{dataset.splits.get(name, 0)} {name}" for name in SPLITS)


def _fields(dataset: Dataset) -> dict[str, object]:
    about = dataset.raw.get("about", {})
    facts = {name: about.get(name) for name in ("title", "row", "source", "licence")}
    return {
        "id": dataset.id,
        "name": dataset.name,
        **facts,
        "format": dataset.format,
        "size": num_bytes(dataset.bytes),
        "splits": _counts(dataset),
        "input": dataset.schema_.get("input"),
        "target": dataset.schema_.get("target"),
        "lengths": ", ".join(f"{name} {dataset.lengths.get(name)}" for name in LENGTHS),
        "mappings": ", ".join(dataset.mappings),
        "warnings": "; ".join(dataset.warnings) or None,
        "created": dataset.created_at,
    }
