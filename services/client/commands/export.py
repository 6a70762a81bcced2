"""Commands that write what was trained to files for other programs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from services.client.client import UnrollClient
from services.client.commands.exits import Code, CommandError
from services.client.commands.options import with_config
from services.client.commands.output import line, note, num_bytes
from services.client.config import ClientConfig

app = typer.Typer(help="Write trained networks to files: onnx, safetensors.", no_args_is_help=True)
Which = Annotated[
    str, typer.Argument(metavar="MODEL[@VERSION]", help="A model; without a version, its newest.")
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
