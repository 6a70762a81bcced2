"""How a file becomes a dataset, put together from options; what they mean, the service knows."""

import json
from collections.abc import Mapping
from typing import Any

from services.client.commands.completion import words
from services.client.commands.exits import Code, CommandError
from services.client.commands.options import Groups, Opt, collected, either

TOKENS = ("char", "word")
INPUT_KINDS = ("sequence", "category", "vector")
TARGET_KINDS = ("class", "regression", "tags", "values", "multilabel", "text", "series")


def _one_of(name: str, choices: tuple[str, ...], about: str) -> Opt:
    return Opt(name, str | None, f"{about}: {either(choices)}", complete=words(*choices))


READING: Groups = {
    "Table": (
        Opt("input_column", str | None, "Column of texts to read."),
        Opt("input_columns", str | None, "Columns of numbers to read, with commas between."),
        Opt("target_column", str | None, "Column to predict."),
        Opt("group_column", str | None, "Rows of equal groups go to one split."),
        Opt("window", int | None, "Cut the rows, in their order, into inputs of so many."),
        Opt("horizon", int | None, "Rows ahead that a window predicts; 1 unless given."),
        Opt("stride", int | None, "Rows between the starts of two windows; 1 unless given."),
    ),
    "Reading": (
        _one_of("tokens", TOKENS, "Symbols of a text"),
        _one_of("input_kind", INPUT_KINDS, "What an input is, where its form leaves it open"),
        _one_of("target_kind", TARGET_KINDS, "What a target is, where its form leaves it open"),
        Opt("min_count", int | None, "Rarer symbols become <unk>."),
        Opt("max_length", int | None, "Leave out records with longer inputs."),
        Opt("options", str | None, "JSON with any of these and more; the others override it."),
    ),
}


def options_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a dataset is read with. Raises `CommandError` where `--options` is no JSON."""
    chosen = _parse(values.get("options") or "{}")
    given = {name: value for name, value in values.items() if name != "options"}
    chosen |= {name: value for name, value in given.items() if value is not None}
    if columns := given.get("input_columns"):
        chosen["input_columns"] = [name.strip() for name in columns.split(",")]
    return chosen


with_reading = collected("options", READING, options_of)
"""Gives a command `options: dict[str, Any]`."""


def _parse(text: str) -> dict[str, Any]:
    try:
        options = json.loads(text)
    except ValueError as fault:
        raise CommandError(f"--options is not JSON: {fault}", Code.USAGE) from fault
    if not isinstance(options, dict):
        raise CommandError('--options is no JSON object; write {"tokens": "char"}', Code.USAGE)
    return options
