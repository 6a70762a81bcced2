"""`unroll export`: what was trained, for other tools; one command for each of them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from services.client.client import UnrollClient
from services.client.commands import completion
from services.client.commands.completion import asked
from services.client.commands.exits import Code, CommandError
from services.client.commands.jobs import job_argument
from services.client.commands.options import with_config
from services.client.commands.output import line, note, num_bytes
from services.client.config import ClientConfig
from shared.jobs.states import FINAL

app = typer.Typer(help="Hand jobs and networks over to other tools.", no_args_is_help=True)
Which = Annotated[
    str,
    typer.Argument(
        metavar="MODEL[@VERSION]",
        help="A model; without a version, its newest.",
        autocompletion=asked(completion.models),
    ),
]
To = Annotated[Path, typer.Argument(metavar="FILE", help="Where to write; it is replaced.")]


@app.command("onnx")
@with_config
def onnx(config: ClientConfig, model: Which, file: To) -> None:
    """Write a network as an ONNX model, for onnxruntime and its like."""
    _export(config, model, file, "onnx")


@app.command("safetensors")
@with_config
def safetensors(config: ClientConfig, model: Which, file: To) -> None:
    """Write a network's weights, with its specs and encoding, as safetensors."""
    _export(config, model, file, "safetensors")


@app.command()
@with_config
def mlflow(
    config: ClientConfig,
    job_id: Annotated[str, job_argument(*sorted(FINAL))],
    tracking_uri: Annotated[
        str | None, typer.Option(help="Where to; default: MLFLOW_TRACKING_URI, or what MLflow has.")
    ] = None,
    experiment: Annotated[
        str, typer.Option(help="MLflow's experiment; made if needed.")
    ] = "unroll",
) -> None:
    """Make a job that has ended a run of MLflow's, once; prints the run's id."""
    try:
        from services.client.mlflow import MlflowException, export_job
    except ModuleNotFoundError as missing:
        message = "MLflow is not installed; `pip install mlflow-skinny` beside unroll."
        raise CommandError(message, Code.USAGE) from missing
    with UnrollClient(config=config) as client:
        job = client.job(job_id)
        if not job.is_final:
            raise CommandError(f"{job_id} is {job.status}; wait for its end: `unroll watch`")
        try:
            found = export_job(client, job, tracking_uri, experiment)
        except MlflowException as fault:
            raise CommandError(f"MLflow refuses: {fault.message}", Code.REFUSED) from fault
    line(found.run_id)
    there = "is" if found.is_new else "was already"
    note(f"{job.name} {there} a run of experiment {experiment!r} in MLflow.")


def _export(
    config: ClientConfig, which: str, file: Path, format: Literal["onnx", "safetensors"]
) -> None:
    model, _, version = which.partition("@")
    with UnrollClient(config=config) as client:
        try:
            client.export(model, file, format=format, version=version or None)
        except OSError as fault:
            raise CommandError(f"{file}: {fault.strerror}", Code.USAGE) from fault
    note(f"{which}: {num_bytes(file.stat().st_size)}")
    line(str(file))
