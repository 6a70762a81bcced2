"""From records to a stored dataset: encoding, splits, statistics. Knows no file format, keeps nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.data.encoding import (
    UNKNOWN,
    CategoryInput,
    ClassTarget,
    Encoding,
    NextTarget,
    NumericInput,
    SeriesTarget,
    TagsTarget,
    Target,
    TextTarget,
    TokenInput,
    VectorInput,
)
from shared.data.intake import InputIntake, Intake
from shared.data.options import DatasetOptions
from shared.data.parts import Input
from shared.data.ragged import Ragged
from shared.data.records import Entry, Faults, invalid
from shared.data.scaling import is_binary, scaling
from shared.data.splits import (
    Assignment,
    Indices,
    by_name,
    in_order,
    shuffled,
    stream_cuts,
)
from shared.data.table import SPLITS, SplitName, write_table
from shared.data.targets import TargetColumn, encode_targets, read_targets
from shared.data.vocabulary import vocabulary

Parts = dict[SplitName, Ragged]


@dataclass(frozen=True)
class BuiltDataset:
    """A dataset ready to be stored, and what a page says about it."""

    encoding: Encoding
    splits: dict[str, int]  # records a split; of a stream: symbols a split
    lengths: dict[str, int]  # min, median, p95, max of an input's steps, or of a text made of one
    schema: dict[str, dict[str, Any]]  # {"input": {...}, "target": {...}} as it goes over the wire
    mappings: list[str]  # the mappings that this dataset can serve
    class_balance: dict[str, int]  # label -> count over all splits; empty without labels
    arrow: bytes  # what DatasetTable.open reads


def build_dataset(
    records: Iterable[Entry],
    options: DatasetOptions,
    *,
    stream: bool = False,
    time_ordered: bool = False,
) -> BuiltDataset:
    """Check, split and encode `records`; a pure function of its arguments.

    `stream`: the inputs are pieces of one long text, cut in order. `time_ordered`: later records
    go to later splits (windows always do). Raises InvalidDataset with at most 20 faults.
    """
    intake = Intake(options, stream=stream)
    for entry in records:
        intake.take(entry)
    intake.close()
    if stream:
        return _build_stream(intake, options)
    return _build_records(intake, options, time_ordered=time_ordered)


def _build_stream(intake: Intake, options: DatasetOptions) -> BuiltDataset:
    assert set(intake.splits) == {None}
    assert intake.targets.forms == {"none"}
    for name in options.chosen(("input_kind", "target_kind", "max_length")):
        raise invalid("options", name, "does not apply to one long text: leave it out")
    text = intake.input_sequences()
    cuts = stream_cuts(len(text.values), options.split)
    parts = {name: _part(text, *cuts[i : i + 2]) for i, name in enumerate(SPLITS)}
    part, parts = _encode_inputs(intake.inputs, parts, text, options)
    encoding = Encoding(input=part, target=NextTarget(), stream=True)
    return _built(encoding, parts, {})


def _part(text: Ragged, start: int, end: int) -> Ragged:
    """One sequence [start, end) of a stream, or no sequence when it is empty."""
    bounds = [0, end - start] if end > start else [0]
    return Ragged(text.values[start:end], np.array(bounds, dtype=np.int64))


def _build_records(intake: Intake, options: DatasetOptions, *, time_ordered: bool) -> BuiltDataset:
    intake.keep(_short_enough(intake, options))
    inputs = intake.input_sequences()
    column = read_targets(
        intake.targets,
        inputs.lengths.tolist(),
        intake.where,
        options,
        is_sequence=intake.inputs.is_sequence,
        windowed=intake.rows[0] is not None,
    )
    target: Target = NextTarget()
    targets: Parts = {}
    if column is None:
        _check_next(inputs, intake.where)
    labels = _labels(intake, column, inputs)
    assignment = _assign(intake, labels, options, time_ordered=time_ordered)
    if column is not None:
        target, column = encode_targets(column, assignment, intake.where, options)
        targets = {name: column.rows.take(assignment[name]) for name in SPLITS}
    parts = {name: inputs.take(assignment[name]) for name in SPLITS}
    part, parts = _encode_inputs(intake.inputs, parts, inputs, options)
    return _built(Encoding(input=part, target=target), parts, targets)


def _short_enough(intake: Intake, options: DatasetOptions) -> list[int]:
    lengths = intake.input_sequences().lengths
    kept = np.flatnonzero(lengths <= (options.max_length or lengths.max()))
    if len(kept) == 0:
        raise invalid(
            "options",
            "max_length",
            f"nothing left after filtering: the shortest input has {lengths.min()} steps",
        )
    return kept.tolist()


def _check_next(inputs: Ragged, where: Sequence[str]) -> None:
    faults = Faults()
    for index in np.flatnonzero(inputs.lengths < 2).tolist():
        faults.add(
            where[index], "input", "one step, no target: predicting the next step needs at least 2"
        )
    faults.raise_any()


def _labels(intake: Intake, column: TargetColumn | None, inputs: Ragged) -> list[Ragged]:
    """What the train split must show an example of: each label, and each category of inputs."""
    labels = [column.labels] if column is not None and column.labels is not None else []
    return [*labels, inputs] if intake.inputs.form == "category" else labels


def _assign(
    intake: Intake, labels: list[Ragged], options: DatasetOptions, *, time_ordered: bool
) -> Assignment:
    if intake.splits[0] is not None:
        return by_name(intake.splits)
    if time_ordered or intake.rows[0] is not None:
        return in_order(intake.rows, options)
    return shuffled(len(intake.splits), options, labels)


def _encode_inputs(
    intake: InputIntake, parts: Parts, all_inputs: Ragged, options: DatasetOptions
) -> tuple[Input, Parts]:
    """What the train split says about inputs, and the three parts in its terms."""
    if intake.form in ("series", "vector"):
        kind = NumericInput if intake.form == "series" else VectorInput
        return _numbers(kind, parts["train"], all_inputs), parts
    names = list(intake.names.ids)
    symbols, ids = vocabulary(parts["train"].values, names, options.min_count, (UNKNOWN,))
    parts = {name: Ragged(ids[r.values], r.offsets) for name, r in parts.items()}
    if intake.form == "category":
        return CategoryInput(symbols=symbols), parts
    return TokenInput(tokens=intake.tokens, symbols=symbols), parts


def _numbers(
    kind: type[NumericInput | VectorInput], train: Ragged, all_inputs: Ragged
) -> NumericInput | VectorInput:
    size = all_inputs.width
    if size > 1 and is_binary(all_inputs.values):
        return kind(size=size, mean=(0.0,) * size, std=(1.0,) * size, binary=True)
    mean, std = scaling(train.values)
    return kind(size=size, mean=mean, std=std, binary=False)


def _built(encoding: Encoding, inputs: Parts, targets: Parts) -> BuiltDataset:
    sequences = inputs if encoding.input.is_sequence or not encoding.generates else targets
    lengths = np.concatenate([sequences[name].lengths for name in SPLITS])
    return BuiltDataset(
        encoding=encoding,
        splits={name: _size(encoding, inputs[name]) for name in SPLITS},
        lengths=_summary(lengths),
        schema={"input": _input_schema(encoding.input), "target": _target_schema(encoding)},
        mappings=[encoding.mapping],
        class_balance=_balance(encoding.target, targets),
        arrow=write_table(encoding, inputs, targets),
    )


def _size(encoding: Encoding, part: Ragged) -> int:
    return len(part.values) if encoding.stream else len(part)


def _summary(lengths: Indices) -> dict[str, int]:
    quantiles = np.quantile(lengths, [0, 0.5, 0.95, 1], method="higher")
    return dict(zip(("min", "median", "p95", "max"), quantiles.tolist(), strict=True))


def _balance(target: Target, targets: Parts) -> dict[str, int]:
    if not isinstance(target, ClassTarget | TagsTarget):
        return {}
    ids = np.concatenate([targets[name].values for name in SPLITS])
    counts = np.bincount(ids, minlength=target.size)
    return dict(zip(target.labels, counts.tolist(), strict=True))


def _input_schema(part: Input) -> dict[str, Any]:
    if isinstance(part, CategoryInput):
        return {"kind": part.kind, "vocabulary_size": part.size, "labels": list(part.symbols[1:])}
    if isinstance(part, TokenInput):
        return {"kind": part.kind, "tokens": part.tokens, "vocabulary_size": part.size}
    return {"kind": part.kind, "size": part.size, "binary": part.binary}


def _target_schema(encoding: Encoding) -> dict[str, Any]:
    target = encoding.target
    schema: dict[str, Any] = {"kind": target.kind, "size": encoding.output_size}
    if isinstance(target, ClassTarget | TagsTarget):
        schema["labels"] = list(target.labels)
    if isinstance(target, SeriesTarget):
        schema |= {"size": target.size, "length": target.length}
    if isinstance(target, TextTarget):
        schema |= {"tokens": target.tokens, "vocabulary_size": target.size}
    return schema
