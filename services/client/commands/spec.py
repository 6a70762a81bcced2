"""A job spec put together from a file, options and `--set`; what a spec may say, the service knows."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from services.client.commands.completion import asked, cells, datasets, words
from services.client.commands.exits import Code, CommandError
from services.client.commands.options import Groups, Opt, collected, either, pairs

WORDS = ("cell", "optimizer", "schedule")  # a bare name is short for {"type": name}
DEFAULT_OPTIMIZER = "adamw"  # what --lr is the learning rate of, when nothing names another
MAPPINGS = ("one_to_one", "one_to_many", "many_to_one", "many_to_many")
DEVICES = ("auto", "cpu", "cuda")
READOUTS = ("last", "mean", "max", "attention")
OPTIMIZERS = ("adamw", "adam", "sgd", "rmsprop")
SCHEDULES = ("constant", "linear", "cosine", "step", "plateau", "one_cycle")


def _one_of(name: str, choices: tuple[str, ...]) -> Opt:
    return Opt(name, str | None, either(choices), complete=words(*choices))


OPTIONS: Groups = {
    "Job": (
        Opt("name", str | None, "Name of the job."),
        Opt(
            "dataset",
            str | None,
            "Name or id of a dataset: see `unroll datasets list`.",
            complete=asked(datasets),
        ),
        _one_of("mapping", MAPPINGS),
        Opt("model_name", str | None, "Where to publish the trained network."),
        Opt("priority", int | None, "0-9; a higher one is taken first."),
        _one_of("device", DEVICES),
        Opt("devices", int | None, "How many train this job together."),
        Opt("metadata", list[str] | None, "key=value; may be repeated."),
    ),
    "Network": (
        Opt("cell", str | None, "Recurrent cell: see `unroll cells`.", complete=asked(cells)),
        Opt("hidden_size", int | None, "Units of a layer and direction."),
        Opt("num_layers", int | None, "Depth."),
        Opt(
            "bidirectional",
            bool | None,
            "Whether each layer also reads from the end.",
            ("--bidirectional/--no-bidirectional",),
        ),
        Opt("embedding_size", int | None, "Width of a symbol's vector."),
        Opt("dropout", float | None, "Chance to drop a unit between layers."),
        _one_of("readout", READOUTS),
    ),
    "Training": (
        Opt("epochs", int | None, "Passes over the training split."),
        Opt("max_steps", int | None, "Steps after which training ends."),
        Opt("batch_size", int | None, "Sequences of a step."),
        Opt("seed", int | None, "Decides initial weights, order and dropout."),
        Opt("tbptt_steps", int | None, "Sequence elements between two optimizer steps."),
        _one_of("optimizer", OPTIMIZERS),
        Opt("lr", float | None, "Learning rate."),
        _one_of("schedule", SCHEDULES),
        Opt("clip_norm", float | None, "Largest norm of the whole gradient."),
        Opt("patience", int | None, "Epochs without improvement before training ends."),
    ),
    "Spec": (
        Opt("file", Path | None, "Spec as JSON or YAML; options override it."),
        Opt("set", list[str] | None, "dotted.path=json; may be repeated, overrides the rest."),
    ),
}
PATHS = {
    "model_name": "model_name",
    "device": "resources.device",
    "devices": "resources.devices",
    "cell": "network.cell.type",
    "optimizer": "training.optimizer.type",
    "lr": "training.optimizer.lr",
    "schedule": "training.schedule.type",
    "patience": "training.early_stopping.patience",
    **{name: name for name in ("name", "dataset", "mapping", "priority")},
    **{option.name: f"network.{option.name}" for option in OPTIONS["Network"][1:]},
    **{
        name: f"training.{name}"
        for name in ("epochs", "max_steps", "batch_size", "seed", "tbptt_steps", "clip_norm")
    },
}


def spec_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The spec that the options ask for.

    Raises:
        CommandError: the file cannot be read, or dataset or cell are missing.
        typer.BadParameter: `--set` or `--metadata` is malformed.
    """
    spec = read_spec(values["file"]) if values.get("file") else {}
    for name, path in PATHS.items():
        if values.get(name) is not None:
            assign(spec, path, values[name])
    for key, value in pairs(values.get("metadata") or (), "--metadata").items():
        inner_of(spec, "metadata")[key] = value
    for path, text in pairs(values.get("set") or (), "--set").items():
        assign(spec, path, json_or_text(text))
    _complete(spec)
    return spec


with_spec = collected("spec", OPTIONS, spec_of)
"""Gives a command `spec: dict[str, Any]`."""


def read_spec(path: Path) -> dict[str, Any]:
    """A JSON or YAML mapping."""
    try:
        text = path.read_text(encoding="utf-8")
        spec = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except OSError as fault:
        raise CommandError(f"{path}: {fault.strerror}", Code.USAGE) from fault
    except (ValueError, yaml.YAMLError) as fault:
        raise CommandError(f"{path} is neither YAML nor JSON: {fault}", Code.USAGE) from fault
    if not isinstance(spec, dict):
        raise CommandError(f"{path} holds no mapping of fields to values", Code.USAGE)
    return spec


def assign(spec: dict[str, Any], path: str, value: object) -> None:
    """Set the field at a dotted path, making what is missing on the way.

    Another `type` starts afresh: options of one cell or optimizer mean nothing to the next.
    """
    *way, last = path.split(".")
    place = spec
    for part in way:
        place = inner_of(place, part)
    if last == "type" and place.get("type") not in (None, value):
        place.clear()
    place[last] = value


def inner_of(place: dict[str, Any], name: str) -> dict[str, Any]:
    """The object in a field, made where there is none."""
    if place.get(name) is None:
        place[name] = {}
    elif isinstance(place[name], str) and name in WORDS:
        place[name] = {"type": place[name]}
    inner = place[name]
    if not isinstance(inner, dict):
        raise CommandError(f"{name} is {inner!r}, which has no fields to set", Code.USAGE)
    return inner


def json_or_text(text: str) -> object:
    """JSON, or the text itself: `--set network.merge=sum` needs no quotes."""
    try:
        return json.loads(text, parse_constant=lambda constant: constant)
    except ValueError:
        return text


def _complete(spec: dict[str, Any]) -> None:
    """Fill in the one default that a union needs, and refuse what cannot even be sent."""
    if "base" in spec:
        message = "the file describes an experiment; `unroll experiments create` takes it"
        raise CommandError(message, Code.USAGE)
    missing = [] if "dataset" in spec else ["--dataset (see `unroll datasets list`)"]
    if "cell" not in inner_of(spec, "network"):
        missing.append("--cell (see `unroll cells`)")
    if missing:
        raise CommandError(f"give {' and '.join(missing)}, or a --file that has it", Code.USAGE)
    training = spec.get("training")
    optimizer = training.get("optimizer") if isinstance(training, dict) else None
    if isinstance(optimizer, dict):
        optimizer.setdefault("type", DEFAULT_OPTIMIZER)
    try:
        json.dumps(spec, allow_nan=False)
    except (TypeError, ValueError) as fault:
        raise CommandError(f"the spec holds what JSON cannot: {fault}", Code.USAGE) from fault
