"""What the targets of a dataset are, taken together. Knows nothing of inputs but their lengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from shared.data.encoding import (
    TEXT_SPECIALS,
    ClassTarget,
    MultilabelTarget,
    RegressionTarget,
    SeriesTarget,
    TagsTarget,
    Target,
    TextTarget,
    ValuesTarget,
)
from shared.data.inputs import InvalidInput, Tokens, symbols_of
from shared.data.intake import Names, TargetIntake
from shared.data.options import DatasetOptions, TargetKind
from shared.data.ragged import Array, Ragged
from shared.data.records import Faults, invalid
from shared.data.scaling import is_binary, scaling
from shared.data.splits import Assignment
from shared.data.vocabulary import vocabulary

Kind = Literal["class", "regression", "tags", "values", "multilabel", "text", "series", "next"]
Family = Literal["nothing", "strings", "whole", "numbers", "string lists", "number lists", "grids"]

_FAMILIES: dict[str, Family] = {
    "none": "nothing",
    "text": "strings",
    "integer": "whole",
    "number": "numbers",
    "strings": "string lists",
    "numbers": "number lists",
    "vectors": "grids",
}
_ALLOWED: dict[Family, tuple[TargetKind, ...]] = {  # what each family can be asked to be
    "nothing": (),
    "strings": ("class", "text"),
    "whole": ("class", "regression"),
    "numbers": ("regression",),
    "string lists": ("tags", "text"),
    "number lists": ("values", "regression", "tags", "series"),
    "grids": ("multilabel", "values", "series"),
}
_NAMES = {
    "nothing": "there are no targets",
    "strings": "the targets are strings",
    "whole": "the targets are whole numbers",
    "numbers": "the targets are numbers",
    "string lists": "the targets are lists of strings",
    "number lists": "the targets are lists of numbers",
    "grids": "the targets are lists of lists of numbers",
}
_ONE_A_STEP = {"tags": "tags", "values": "values", "multilabel": "lists"}
_MANY = 20  # from so many records on, a class that never repeats is no class


@dataclass
class TargetColumn:
    """The targets of every record under one kind, before a split is known."""

    kind: Kind
    rows: Ragged  # names' numbers, float64[total, D] or uint8[total, D]
    names: tuple[str, ...] = ()  # of class, tags and text, by the numbers in `rows`
    tokens: Tokens = "list"  # how text was split

    @property
    def labels(self) -> Ragged | None:
        return self.rows if self.kind in ("class", "tags") else None


def read_targets(
    intake: TargetIntake,
    steps: Sequence[int],
    where: Sequence[str],
    options: DatasetOptions,
    *,
    is_sequence: bool,
    windowed: bool,
) -> TargetColumn | None:
    """The one kind that all targets are of, or None when there are none.

    `steps` are the lengths of the inputs. Raises InvalidDataset when the targets do not fit the
    kind that was asked for, or the steps of their inputs.
    """
    family, asked = _family(intake), options.target_kind
    auto = _AUTO if is_sequence else _AUTO_WITHOUT_TIME
    kind = auto[family](intake, steps, windowed) if asked == "auto" else asked
    if asked != "auto" and asked not in _ALLOWED[family]:
        raise invalid("options", "target_kind", _refusal(asked, family))
    if not is_sequence and kind not in _WITHOUT_TIME:
        raise invalid("options", "input_kind", _NO_STEPS[kind])
    if kind == "next":
        return None
    column = (
        _text(intake, where, options.target_tokens or "char")
        if kind == "text"
        else _COLUMNS[kind](intake, where)
    )
    if kind in _ONE_A_STEP:
        _check_aligned(column, steps, where)
    return column


def _family(intake: TargetIntake) -> Family:
    if "number" in intake.forms:
        return "numbers"
    [form] = intake.forms
    return _FAMILIES[form]


def _refusal(asked: str, family: Family) -> str:
    fitting = " or ".join(("auto", *_ALLOWED[family]))
    return f"cannot be {asked}: {_NAMES[family]}, so use {fitting}"


def _auto_strings(intake: TargetIntake, steps: Sequence[int], windowed: bool) -> Kind:
    if len(set(intake.values)) == len(intake.values) >= _MANY:
        raise invalid(
            "file",
            "target",
            "no two targets are equal: for text to be generated (encoder-decoder, one-to-many) set"
            " target_kind to text, for labels set it to class",
        )
    return "class"


def _auto_lists(intake: TargetIntake, steps: Sequence[int], windowed: bool) -> Kind:
    lengths = [len(value) for value in intake.values]
    aligned = lengths == list(steps)
    return "regression" if windowed or (not aligned and len(set(lengths)) == 1) else "values"


def _auto_grids(intake: TargetIntake, steps: Sequence[int], windowed: bool) -> Kind:
    return "multilabel" if all(is_binary(value) for value in intake.values) else "values"


_AUTO: dict[Family, Callable[[TargetIntake, Sequence[int], bool], Kind]] = {
    "nothing": lambda *_: "next",
    "strings": _auto_strings,
    "whole": lambda *_: "class",
    "numbers": lambda *_: "regression",
    "string lists": lambda *_: "tags",
    "number lists": _auto_lists,
    "grids": _auto_grids,
}


_AUTO_WITHOUT_TIME: dict[Family, Callable[[TargetIntake, Sequence[int], bool], Kind]] = {
    **_AUTO,
    "string lists": lambda *_: "text",
    "number lists": lambda *_: "regression",
}
_WITHOUT_TIME = ("class", "regression", "text", "series")  # what one input without time can lead to
_PER_STEP = "a category or a vector has no steps, and the targets give {} at every step: leave"
_NO_STEPS = {
    "next": "a category or a vector has no next step to predict: every record needs a target",
    **{kind: _PER_STEP.format(what) + " input_kind out" for kind, what in _ONE_A_STEP.items()},
}


def _check_aligned(column: TargetColumn, steps: Sequence[int], where: Sequence[str]) -> None:
    faults = Faults()
    for place, found, wanted in zip(where, column.rows.lengths, steps, strict=True):
        if found != wanted:
            faults.add(
                place,
                "target",
                f"{found} {_ONE_A_STEP[column.kind]} for an input of {wanted} steps: give one a"
                " step, or set target_kind to text (lists of strings) or series (lists of numbers)"
                " for sequences of their own length (encoder-decoder)",
            )
    faults.raise_any()


def _one_each(values: Array) -> Ragged:
    return Ragged(values, np.arange(len(values) + 1, dtype=np.int64))


def _classes(intake: TargetIntake, where: Sequence[str]) -> TargetColumn:
    names = sorted(set(intake.values))  # whole numbers by size, strings by code point
    ids = {name: id_ for id_, name in enumerate(names)}
    rows = np.array([ids[value] for value in intake.values], dtype=np.int32)
    return TargetColumn("class", _one_each(rows), tuple(map(str, names)))


def _tags(intake: TargetIntake, where: Sequence[str]) -> TargetColumn:
    rows = Ragged.of(intake.values)
    if rows.values.dtype != np.int32:  # lists of numbers: each whole one is a label
        return _whole_tags(rows, where)
    names = sorted(intake.names.ids)
    ranks = np.empty(len(names), dtype=np.int32)
    ranks[[intake.names.ids[name] for name in names]] = np.arange(len(names))
    return TargetColumn("tags", Ragged(ranks[rows.values], rows.offsets), tuple(names))


def _whole_tags(rows: Ragged, where: Sequence[str]) -> TargetColumn:
    faults = Faults()
    for index in _records_of(rows, rows.values != np.round(rows.values)):
        faults.add(where[index], "target", "a label must be a string or a whole number")
    faults.raise_any()
    names, ids = np.unique(rows.values, return_inverse=True)
    labels = tuple(str(int(name)) for name in names)
    return TargetColumn("tags", Ragged(ids.astype(np.int32), rows.offsets), labels)


def _regression(intake: TargetIntake, where: Sequence[str]) -> TargetColumn:
    vectors = [np.atleast_1d(np.asarray(value, dtype=np.float64)) for value in intake.values]
    faults = Faults()
    for place, vector in zip(where, vectors, strict=True):
        if len(vector) != len(vectors[0]):
            faults.add(
                place,
                "target",
                f"{len(vector)} numbers where the first record has {len(vectors[0])}: vectors to"
                " predict must have one size",
            )
    faults.raise_any()
    return TargetColumn("regression", _one_each(np.stack(vectors)))


def _values(intake: TargetIntake, where: Sequence[str]) -> TargetColumn:
    rows = Ragged.of(intake.values)
    return TargetColumn("values", Ragged(rows.values.reshape(len(rows.values), -1), rows.offsets))


def _series(intake: TargetIntake, where: Sequence[str]) -> TargetColumn:
    return replace(_values(intake, where), kind="series")


def _multilabel(intake: TargetIntake, where: Sequence[str]) -> TargetColumn:
    rows = Ragged.of(intake.values)
    faults = Faults()
    for index in _records_of(rows, ((rows.values != 0) & (rows.values != 1)).any(axis=1)):
        faults.add(where[index], "target", "multilabel targets hold only 0 and 1")
    faults.raise_any()
    return TargetColumn("multilabel", Ragged(rows.values.astype(np.uint8), rows.offsets))


def _text(intake: TargetIntake, where: Sequence[str], tokens: Tokens) -> TargetColumn:
    rows = Ragged.of(intake.values) if intake.first == "strings" else None
    if rows is not None:
        return TargetColumn("text", rows, tuple(intake.names.ids), "list")
    names, faults, found = Names(), Faults(), list[Array]()
    for place, text in zip(where, intake.values, strict=True):
        try:
            found.append(names.number_all(symbols_of(text, tokens)))
        except InvalidInput as fault:
            faults.add(place, "target", fault.message)
    faults.raise_any()
    return TargetColumn("text", Ragged.of(found), tuple(names.ids), tokens)


_COLUMNS: dict[str, Callable[[TargetIntake, Sequence[str]], TargetColumn]] = {
    "class": _classes,
    "tags": _tags,
    "regression": _regression,
    "values": _values,
    "multilabel": _multilabel,
    "series": _series,
}


def _records_of(rows: Ragged, at_step: Array) -> list[int]:
    """The records that hold a step where `at_step` is true, in order."""
    steps = np.flatnonzero(at_step)
    return np.unique(np.searchsorted(rows.offsets, steps, side="right") - 1).tolist()  # type: ignore[no-any-return]


def encode_targets(
    column: TargetColumn, assignment: Assignment, where: Sequence[str], options: DatasetOptions
) -> tuple[Target, TargetColumn]:
    """What a network learns from the train split, and the column in its terms.

    Raises InvalidDataset for labels that the train split lacks.
    """
    if column.labels is not None:
        return _encode_labels(column, assignment, where)
    if column.kind == "text":
        return _encode_text(column, assignment, options)
    if column.kind == "multilabel":
        return MultilabelTarget(size=column.rows.width), column
    train = column.rows.take(assignment["train"])
    mean, std = scaling(train.values)
    if column.kind == "series":
        lengths, longest = column.rows.lengths, int(train.lengths.max())
        length = longest if (lengths == longest).all() else None
        size = column.rows.width
        return SeriesTarget(size=size, mean=mean, std=std, longest=longest, length=length), column
    kind = RegressionTarget if column.kind == "regression" else ValuesTarget
    return kind(size=column.rows.width, mean=mean, std=std), column


def _encode_text(
    column: TargetColumn, assignment: Assignment, options: DatasetOptions
) -> tuple[Target, TargetColumn]:
    train = column.rows.take(assignment["train"])
    symbols, ids = vocabulary(train.values, column.names, options.min_count, TEXT_SPECIALS)
    longest = int(train.lengths.max())
    target = TextTarget(tokens=column.tokens, symbols=symbols, longest=longest)
    rows = Ragged(ids[column.rows.values], column.rows.offsets)
    return target, TargetColumn("text", rows, symbols, column.tokens)


def _encode_labels(
    column: TargetColumn, assignment: Assignment, where: Sequence[str]
) -> tuple[Target, TargetColumn]:
    known = np.unique(column.rows.take(assignment["train"]).values)
    later = np.concatenate([assignment["val"], assignment["test"]])
    faults = Faults()
    for id_ in np.setdiff1d(column.rows.take(later).values, known):
        first = _records_of(column.rows, column.rows.values == id_)[0]
        faults.add(
            where[first],
            "target",
            f"the label {column.names[id_]!r} occurs in no training record: give one the split"
            " train, or leave the label out",
        )
    faults.raise_any()
    lookup = np.zeros(len(column.names), dtype=np.int32)
    lookup[known] = np.arange(len(known))
    labels = tuple(column.names[id_] for id_ in known)
    target = ClassTarget(labels=labels) if column.kind == "class" else TagsTarget(labels=labels)
    rows = Ragged(lookup[column.rows.values], column.rows.offsets)
    return target, TargetColumn(column.kind, rows, labels)
