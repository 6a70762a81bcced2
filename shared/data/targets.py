"""What the targets of a dataset are, taken together. Knows nothing of inputs but their lengths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shared.data.counting import (
    Codes,
    Counts,
    Sizes,
    count,
    first_with,
    records_where,
    steps_of,
)
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
from shared.data.inputs import Tokens
from shared.data.intake import MAX_NAMES, TargetIntake
from shared.data.options import DatasetOptions, TargetKind
from shared.data.ragged import Array, Ragged
from shared.data.records import MAX_FAULTS, Faults, invalid
from shared.data.scaling import Moments, moments
from shared.data.spool import Column, Indices, Lengths, Places, differing
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
_EXACT = 2**53  # whole numbers beyond it may be told apart no more


@dataclass(frozen=True)
class TargetColumn:
    """The targets of every record under one kind, before a split is known."""

    kind: Kind
    rows: Column  # names' numbers, float64[total, D] or uint8[total, D]
    names: tuple[str, ...] = ()  # of class, tags and text, by the numbers in `rows`
    tokens: Tokens = "list"  # how text was split

    @property
    def labels(self) -> Column | None:
        return self.rows if self.kind in ("class", "tags") else None


@dataclass(frozen=True)
class EncodedTargets:
    """What a network learns, the targets in its terms, and what was counted on the way."""

    target: Target
    rows: Column
    counts: Counts | None = None  # of labels or symbols, by ids in the target, for each split
    moments: Moments | None = None  # of numbers


def read_targets(
    intake: TargetIntake,
    steps: Lengths,
    where: Places,
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
    column = _COLUMNS[kind](intake, where)
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


def _auto_strings(intake: TargetIntake, steps: Lengths, windowed: bool) -> Kind:
    num = len(intake.rows)
    if len(intake.names.ids) >= num >= _MANY and _num_labels(intake) == num:
        raise invalid(
            "file",
            "target",
            "no two targets are equal: for text to be generated (encoder-decoder, one-to-many) set"
            " target_kind to text, for labels set it to class",
        )
    return "class"


def _num_labels(intake: TargetIntake) -> int:
    everyone = np.zeros(len(intake.rows), dtype=np.int8)
    counts = count(steps_of(Column.plain(intake.rows), everyone), len(intake.names.ids))
    return int((counts[0] > 0).sum())


def _auto_lists(intake: TargetIntake, steps: Lengths, windowed: bool) -> Kind:
    lengths = intake.rows.lengths
    is_aligned = next(differing(lengths, steps), None) is None
    return "regression" if windowed or (lengths.are_equal and not is_aligned) else "values"


def _auto_grids(intake: TargetIntake, steps: Lengths, windowed: bool) -> Kind:
    return "multilabel" if intake.is_binary else "values"


_AUTO: dict[Family, Callable[[TargetIntake, Lengths, bool], Kind]] = {
    "nothing": lambda *_: "next",
    "strings": _auto_strings,
    "whole": lambda *_: "class",
    "numbers": lambda *_: "regression",
    "string lists": lambda *_: "tags",
    "number lists": _auto_lists,
    "grids": _auto_grids,
}


_AUTO_WITHOUT_TIME: dict[Family, Callable[[TargetIntake, Lengths, bool], Kind]] = {
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


def _check_aligned(column: TargetColumn, steps: Lengths, where: Places) -> None:
    faults = Faults()
    for index, num, wanted in differing(column.rows.spool.lengths, steps):
        faults.add(
            where[index],
            "target",
            f"{num} {_ONE_A_STEP[column.kind]} for an input of {wanted} steps:"
            " give one a step, or set target_kind to text (lists of strings) or series (lists of"
            " numbers) for sequences of their own length (encoder-decoder)",
        )
    faults.raise_any()


def _classes(intake: TargetIntake, where: Places) -> TargetColumn:
    if intake.first == "text":
        return _named("class", intake)  # by code point
    return _whole("class", intake, where)  # by size


def _tags(intake: TargetIntake, where: Places) -> TargetColumn:
    if intake.first == "strings":
        return _named("tags", intake)
    return _whole("tags", intake, where)


def _named(kind: Kind, intake: TargetIntake) -> TargetColumn:
    names = sorted(intake.names.ids)
    ranks = np.empty(len(names), dtype=np.int32)
    ranks[[intake.names.ids[name] for name in names]] = np.arange(len(names))
    rows = Column.plain(intake.rows).mapped(lambda values: ranks[values])
    return TargetColumn(kind, rows, tuple(names))


def _whole(kind: Kind, intake: TargetIntake, where: Places) -> TargetColumn:
    """Labels that are whole numbers."""
    column = Column.plain(intake.rows)
    _check_values(column, where, _is_no_label, "a label must be a string or a whole number < 2^53")
    found = np.empty(0)
    for _, rows in column.scan():
        found = np.union1d(found, rows.values)
        if len(found) > MAX_NAMES:
            message = f"more than {MAX_NAMES:,} labels: set target_kind to regression or values"
            raise invalid("file", "target", message)
    numbered = column.mapped(lambda values: np.searchsorted(found, values).astype(np.int32))
    return TargetColumn(kind, numbered, tuple(str(int(value)) for value in found))


def _is_no_label(values: Array) -> NDArray[np.bool_]:
    wrong: NDArray[np.bool_] = (values != np.round(values)) | (np.abs(values) >= _EXACT)
    return wrong


def _check_values(
    column: Column, where: Places, is_faulty: Callable[[Array], Array], message: str
) -> None:
    faults = Faults()
    for index in records_where(column, is_faulty, MAX_FAULTS):
        faults.add(where[index], "target", message)
    faults.raise_any()


def _regression(intake: TargetIntake, where: Places) -> TargetColumn:
    lengths, faults = intake.rows.lengths, Faults()
    size = lengths.first
    for first, part in [] if lengths.are_equal else lengths.parts():
        for index in np.flatnonzero(part != size).tolist():
            faults.add(
                where[first + index],
                "target",
                f"{part[index]} numbers where the first record has {size}: vectors to predict"
                " must have one size",
            )
    faults.raise_any()

    def view(rows: Ragged) -> Ragged:
        vectors = rows.values.reshape(-1, size)
        return Ragged(vectors, np.arange(len(vectors) + 1, dtype=np.int64))

    return TargetColumn("regression", Column(intake.rows, view))


def _values(intake: TargetIntake, where: Places) -> TargetColumn:
    width = intake.rows.width
    rows = Column.plain(intake.rows).mapped(lambda values: values.reshape(-1, width))
    return TargetColumn("values", rows)


def _series(intake: TargetIntake, where: Places) -> TargetColumn:
    return replace(_values(intake, where), kind="series")


def _multilabel(intake: TargetIntake, where: Places) -> TargetColumn:
    column = Column.plain(intake.rows)
    _check_values(
        column,
        where,
        lambda values: ((values != 0) & (values != 1)).any(axis=1),
        "multilabel targets hold only 0 and 1",
    )
    return TargetColumn("multilabel", column.mapped(lambda values: values.astype(np.uint8)))


def _text(intake: TargetIntake, where: Places) -> TargetColumn:
    as_list = intake.first == "strings"
    tokens: Tokens = "list" if as_list else intake.options.target_tokens or "char"
    return TargetColumn("text", Column.plain(intake.rows), tuple(intake.names.ids), tokens)


_COLUMNS: dict[str, Callable[[TargetIntake, Places], TargetColumn]] = {
    "class": _classes,
    "tags": _tags,
    "regression": _regression,
    "values": _values,
    "multilabel": _multilabel,
    "series": _series,
    "text": _text,
}


def encode_targets(
    column: TargetColumn, codes: Codes, where: Places, options: DatasetOptions
) -> EncodedTargets:
    """What a network learns from the train split, and the column in its terms.

    Raises InvalidDataset for labels that the train split lacks.
    """
    if column.labels is not None:
        return _encode_labels(column, codes, where)
    if column.kind == "text":
        return _encode_text(column, codes, options)
    return _encode_numbers(column, codes)


def _encode_numbers(column: TargetColumn, codes: Codes) -> EncodedTargets:
    found = moments(column.rows, codes == 0)
    size, (mean, std) = len(found.mean), found.scaling()
    target: Target
    if column.kind == "multilabel":
        target = MultilabelTarget(size=size)
    elif column.kind == "series":
        longest = _longest(column, codes)
        everywhere = Sizes.within(column.rows.spool, lambda codes: codes >= 0, codes).lengths
        length = longest if everywhere.tolist() == [longest] else None
        target = SeriesTarget(size=size, mean=mean, std=std, longest=longest, length=length)
    else:
        kind = RegressionTarget if column.kind == "regression" else ValuesTarget
        target = kind(size=size, mean=mean, std=std)
    return EncodedTargets(target, column.rows, moments=found)


def _encode_text(column: TargetColumn, codes: Codes, options: DatasetOptions) -> EncodedTargets:
    by_name = count(steps_of(column.rows, codes), len(column.names))
    symbols, ids = vocabulary(by_name[0], column.names, options.min_count, TEXT_SPECIALS)
    rows = column.rows.mapped(lambda values: ids[values])
    target = TextTarget(tokens=column.tokens, symbols=symbols, longest=_longest(column, codes))
    return EncodedTargets(target, rows, counts=renumbered(by_name, ids, len(symbols)))


def _longest(column: TargetColumn, codes: Codes) -> int:
    """The most steps of a target that is trained on."""
    return int(Sizes.within(column.rows.spool, lambda codes: codes == 0, codes).lengths[-1])


def renumbered(by_name: Counts, ids: NDArray[np.int32], size: int) -> Counts:
    """Counts of names as counts of the ids that the names got."""
    rows = [np.bincount(ids, weights=row, minlength=size) for row in by_name]
    return np.stack(rows).astype(np.int64)


def _encode_labels(column: TargetColumn, codes: Codes, where: Places) -> EncodedTargets:
    counts = count(steps_of(column.rows, codes), len(column.names))
    is_known = counts[0] > 0
    _check_known(column, np.flatnonzero(~is_known & (counts[1:].sum(axis=0) > 0)), where)
    lookup = (np.cumsum(is_known) - 1).astype(np.int32)
    labels = tuple(column.names[id_] for id_ in np.flatnonzero(is_known))
    target = ClassTarget(labels=labels) if column.kind == "class" else TagsTarget(labels=labels)
    rows = column.rows.mapped(lambda values: lookup[values])
    return EncodedTargets(target, rows, counts=counts[:, is_known])


def _check_known(column: TargetColumn, unknown: Indices, where: Places) -> None:
    faults = Faults()
    first = first_with(column.rows, unknown) if len(unknown) else {}
    for id_ in unknown.tolist():
        faults.add(
            where[first[id_]],
            "target",
            f"the label {column.names[id_]!r} occurs in no training record: give one the split"
            " train, or leave the label out",
        )
    faults.raise_any()
