"""From records to a dataset that can be stored: encoding, splits, statistics. Knows no file format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from shared.data.counting import Codes, Counts, Sizes, count, steps_of, steps_of_stream
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
from shared.data.scaling import Moments, moments
from shared.data.splits import (
    Assignment,
    by_name,
    check_groups,
    codes_of,
    grouped,
    in_order,
    shuffled,
    stream_cuts,
)
from shared.data.spool import CHUNK, Column, Indices, Lengths, Places, Spool, cut, in_parts
from shared.data.statistics import Observed, describe, warnings_of
from shared.data.table import SPLITS, Batch, arrow_pieces
from shared.data.targets import (
    EncodedTargets,
    TargetColumn,
    encode_targets,
    read_targets,
    renumbered,
)
from shared.data.vocabulary import vocabulary

SUMMARY = {"min": 0.0, "median": 0.5, "p95": 0.95, "max": 1.0}  # of lengths: the share below


@dataclass(frozen=True)
class BuiltDataset:
    """A dataset ready to be stored, and what a page says about it."""

    encoding: Encoding
    splits: dict[str, int]  # records a split; of a stream: symbols a split
    lengths: dict[str, int]  # min, median, p95, max of an input's steps, or of a text made of one
    schema: dict[str, dict[str, Any]]  # {"input": {...}, "target": {...}} as it goes over the wire
    mappings: list[str]  # the mappings that this dataset can serve
    class_balance: dict[str, int]  # label -> count over all splits; empty without labels
    num_elements: int  # steps of the train split's inputs, and of texts to be written
    statistics: dict[str, Any]  # what a page draws
    warnings: list[str]  # what in it should worry a person, a sentence each
    runs: Runs  # where its batches lie

    def pieces(self) -> Iterator[bytes]:
        """What DatasetTable.open reads, in pieces that take little memory."""
        return arrow_pieces(self.encoding, self.runs.num_batches, self.runs.batches())

    @property
    def arrow(self) -> bytes:
        """The same at once."""
        return b"".join(self.pieces())


@dataclass(frozen=True)
class Runs:
    """Which records or steps make up each batch."""

    num_batches: tuple[int, ...]  # of each split
    runs: list[Any]  # indices of records, or the first step and the end of a stream's part
    read: Callable[[Any], Batch]

    def batches(self) -> Iterator[Batch]:
        return map(self.read, self.runs)


def build_dataset(
    records: Iterable[Entry],
    options: DatasetOptions,
    *,
    stream: bool = False,
    time_ordered: bool = False,
) -> BuiltDataset:
    """Check, split and encode `records`, which are read once; values wait on disk, not in memory.

    `stream`: the inputs are pieces of one long text, cut in order. `time_ordered`: later records
    go to later splits (windows always do). Equal arguments make equal bytes. Raises InvalidDataset
    with at most 20 faults.
    """
    intake = Intake(options, stream=stream)
    for entry in records:
        intake.take(entry)
    intake.close()
    if stream:
        return _build_stream(intake, options)
    return _build_records(intake, options, time_ordered=time_ordered)


def _build_stream(intake: Intake, options: DatasetOptions) -> BuiltDataset:
    assert not intake.splits
    assert intake.targets.forms == {"none"}
    for name in options.chosen(("input_kind", "target_kind", "max_length")):
        raise invalid("options", name, "does not apply to one long text: leave it out")
    spool = intake.inputs.rows
    cuts = stream_cuts(spool.num_steps, options.split)
    by_name = count(steps_of_stream(spool, cuts), len(intake.inputs.names.ids))
    part, ids, counts = _vocabulary(intake.inputs, by_name, options)
    encoding = Encoding(input=part, target=NextTarget(), stream=True)
    lengths = np.diff(cuts)

    def read(run: tuple[int, int]) -> Batch:
        start, end = run
        bounds = [0, end - start] if end > start else [0]
        return (Ragged(ids[spool.steps(start, end)], np.array(bounds, dtype=np.int64)),)

    parts = [_cut_range(start, end) for start, end in pairwise(cuts)]
    runs = Runs(tuple(map(len, parts)), [run for part in parts for run in part], read)
    observed = Observed(encoding, Sizes.of([lengths[lengths > 0]]), input_counts=counts)
    return _built(observed, dict(zip(SPLITS, lengths.tolist(), strict=True)), int(lengths[0]), runs)


def _cut_range(start: int, end: int) -> list[tuple[int, int]]:
    """[start, end) in runs of at most CHUNK; at least one run, which may be empty."""
    firsts = range(start, end, CHUNK) or [start]
    return [(first, min(first + CHUNK, end)) for first in firsts]


def _build_records(intake: Intake, options: DatasetOptions, *, time_ordered: bool) -> BuiltDataset:
    column = read_targets(
        intake.targets,
        intake.inputs.rows.lengths,
        intake.where,
        options,
        is_sequence=intake.inputs.is_sequence,
        windowed=bool(intake.windows),
    )
    if column is None:
        _check_next(intake.inputs.rows.lengths, intake.where)
    assignment = _assign(intake, _labels(intake, column), options, time_ordered=time_ordered)
    codes = codes_of(assignment, len(intake))
    encoded = (
        encode_targets(column, codes, intake.where, options)
        if column
        else EncodedTargets(NextTarget(), Column.plain(intake.targets.rows))
    )
    part, inputs, counts, numbers = _encode_inputs(intake.inputs, codes, options)
    encoding = Encoding(input=part, target=encoded.target)
    columns = (inputs, encoded.rows) if column else (inputs,)
    runs, num_elements = _runs(columns, assignment, encoding)
    shown = _shown_rows(encoding, intake.inputs.rows, encoded)
    observed = Observed(
        encoding,
        Sizes.within(shown, lambda codes: codes >= 0, codes),
        input_counts=counts,
        target_counts=encoded.counts,
        input_moments=numbers,
        target_moments=encoded.moments,
        prints=intake.prints,
        codes=codes,
        num_too_long=intake.num_too_long,
    )
    splits: dict[str, int] = {name: len(assignment[name]) for name in SPLITS}
    return _built(observed, splits, num_elements, runs)


def _shown_rows(encoding: Encoding, inputs: Spool, encoded: EncodedTargets) -> Spool:
    """The sequences whose lengths matter."""
    if encoding.input.is_sequence or not encoding.generates:
        return inputs
    return encoded.rows.spool


def _runs(
    columns: tuple[Column, ...], assignment: Assignment, encoding: Encoding
) -> tuple[Runs, int]:
    """The batches of all splits, and the steps of the train split."""
    num_batches, runs = [], []
    for name in SPLITS:
        indices = assignment[name]
        parts = list(cut(_sizes(columns, indices), CHUNK)) or [(0, 0)]
        num_batches.append(len(parts))
        runs += [indices[first:last] for first, last in parts]
    read = columns if encoding.generates else columns[:1]
    train = assignment["train"]
    steps = sum(int(c.spool.lengths.of(part).sum()) for _, part in in_parts(train) for c in read)
    return Runs(
        tuple(num_batches), runs, lambda run: tuple(column.take(run) for column in columns)
    ), steps


def _sizes(columns: tuple[Column, ...], indices: Indices) -> Iterator[Indices]:
    """How many numbers the records at `indices` have in all columns."""
    for _, part in in_parts(indices):
        sizes = np.zeros(len(part), dtype=np.int64)
        for column in columns:
            sizes += column.spool.lengths.of(part) * column.spool.width
        yield sizes


def _check_next(steps: Lengths, where: Places) -> None:
    faults = Faults()
    for first, part in steps.parts():
        for index in np.flatnonzero(part < 2).tolist():
            faults.add(
                where[first + index],
                "input",
                "one step, no target: predicting the next step needs at least 2",
            )
    faults.raise_any()


def _labels(intake: Intake, column: TargetColumn | None) -> list[Column]:
    """What the train split must show an example of: each label, and each category of inputs."""
    labels = [column.labels] if column is not None and column.labels is not None else []
    if intake.inputs.form == "category":
        labels.append(Column.plain(intake.inputs.rows))
    return labels


def _assign(
    intake: Intake, labels: list[Column], options: DatasetOptions, *, time_ordered: bool
) -> Assignment:
    if intake.splits:
        if intake.groups:
            check_groups(intake.groups, intake.splits, intake.where)
        return by_name(intake.splits)
    if intake.groups:
        return grouped(intake.groups, options, labels)
    if time_ordered or intake.windows:
        return in_order(len(intake), intake.windows, options)
    return shuffled(len(intake), options, labels)


def _encode_inputs(
    intake: InputIntake, codes: Codes, options: DatasetOptions
) -> tuple[Input, Column, Counts | None, Moments | None]:
    """What the train split says about inputs, the inputs in its terms, and what was counted."""
    column = Column.plain(intake.rows)
    if intake.form in ("series", "vector"):
        found = moments(column, codes == 0)
        kind = NumericInput if intake.form == "series" else VectorInput
        return _numbers(kind, found, is_binary=intake.is_binary), column, None, found
    by_name = count(steps_of(column, codes), len(intake.names.ids))
    part, ids, counts = _vocabulary(intake, by_name, options)
    return part, column.mapped(lambda values: ids[values]), counts, None


def _vocabulary(
    intake: InputIntake, by_name: Counts, options: DatasetOptions
) -> tuple[TokenInput | CategoryInput, Any, Counts]:
    """The symbols of the train split, the id of each name, and how often each id occurs."""
    names = list(intake.names.ids)
    symbols, ids = vocabulary(by_name[0], names, options.min_count, (UNKNOWN,))
    counts = renumbered(by_name, ids, len(symbols))
    if intake.form == "category":
        return CategoryInput(symbols=symbols), ids, counts
    return TokenInput(tokens=intake.tokens, symbols=symbols), ids, counts


def _numbers(
    kind: type[NumericInput | VectorInput], found: Moments, *, is_binary: bool
) -> NumericInput | VectorInput:
    size = len(found.mean)
    if size > 1 and is_binary:
        return kind(size=size, mean=(0.0,) * size, std=(1.0,) * size, binary=True)
    mean, std = found.scaling()
    return kind(size=size, mean=mean, std=std, binary=False)


def _built(
    observed: Observed, splits: dict[str, int], num_elements: int, runs: Runs
) -> BuiltDataset:
    encoding, statistics = observed.encoding, describe(observed)
    return BuiltDataset(
        encoding=encoding,
        splits=splits,
        lengths=dict(zip(SUMMARY, observed.lengths.quantiles(SUMMARY.values()), strict=True)),
        schema={"input": _input_schema(encoding.input), "target": _target_schema(encoding)},
        mappings=[encoding.mapping],
        class_balance=observed.class_balance,
        num_elements=num_elements,
        statistics=statistics,
        warnings=warnings_of(observed, statistics, splits),
        runs=runs,
    )


def _input_schema(part: Input) -> dict[str, Any]:
    if isinstance(part, CategoryInput):
        return {"kind": part.kind, "vocabulary_size": part.size, "labels": list(part.symbols[1:])}
    if isinstance(part, TokenInput):
        return {"kind": part.kind, "tokens": part.tokens, "vocabulary_size": part.size}
    return {"kind": part.kind, "size": part.size, "binary": part.binary}


def _target_schema(encoding: Encoding) -> dict[str, Any]:
    target: Target = encoding.target
    schema: dict[str, Any] = {"kind": target.kind, "size": encoding.output_size}
    if isinstance(target, ClassTarget | TagsTarget):
        schema["labels"] = list(target.labels)
    if isinstance(target, SeriesTarget):
        schema |= {"size": target.size, "length": target.length}
    if isinstance(target, TextTarget):
        schema |= {"tokens": target.tokens, "vocabulary_size": target.size}
    return schema
