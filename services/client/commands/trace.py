"""The command that looks inside a trained network."""

from typing import Annotated

import typer

from services.client.client import UnrollClient
from services.client.commands.options import Json, ModelName, ModelVersion, with_config
from services.client.commands.output import note, print_json, print_table
from services.client.commands.predict import read_argument
from services.client.config import ClientConfig
from services.client.models import TraceLayer

COLUMNS = (
    "PART",
    "LAYER",
    "DIRECTION",
    "ARRAY",
    "MEAN",
    "MIN",
    "MAX",
    "< 0.05",
    "> 0.95",
    "HALF-LIFE",
)


@with_config
def trace(
    config: ClientConfig,
    model: ModelName,
    input_: Annotated[
        str, typer.Argument(metavar="INPUT", help="Text, or a JSON array of numbers or symbols.")
    ],
    version: ModelVersion = None,
    text: Annotated[bool, typer.Option("--text", help="Never read INPUT as JSON.")] = False,
    max_length: Annotated[
        int | None, typer.Option(min=1, help="Steps that a model may write at most.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show how a network's gates and states behave on one input."""
    sequence = input_ if text else read_argument(input_)
    with UnrollClient(config=config) as client:
        found = client.trace(model, sequence, version=version, max_length=max_length)
    if as_json:
        print_json(found.raw)
        return
    print_table(COLUMNS, (row for layer in found.layers for row in _rows(layer)))
    note("--json has every value of every step")


def _rows(layer: TraceLayer) -> list[tuple[object, ...]]:
    """One array a row; the half-life, in steps, stands beside what the layer hands on."""
    rows = []
    for array in layer.arrays:
        shares = (array.summary.share_low, array.summary.share_high)
        is_last = array is layer.arrays[-1]
        numbers = (array.summary.mean, array.summary.min, array.summary.max, *shares)
        rows.append(
            (
                layer.part,
                layer.layer,
                layer.direction,
                array.name,
                *(_number(value) for value in numbers),
                _half_life(layer) if is_last else "",
            )
        )
    return rows


def _half_life(layer: TraceLayer) -> str:
    if layer.half_life is None:
        return ""
    return "never" if layer.half_life.median is None else f"{layer.half_life.median:.1f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
