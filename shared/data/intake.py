"""Looks at records one by one as they arrive and keeps their values compactly. Decides no split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared.data.inputs import (
    InvalidInput,
    category_of,
    grid,
    is_list,
    json_word,
    number,
    numbers,
    series_of,
    strings,
    symbols_of,
    vector_of,
)
from shared.data.options import DatasetOptions, InputKind
from shared.data.ragged import Array, Ragged
from shared.data.records import Entry, Fault, Faults

InputForm = Literal["text", "symbols", "series", "category", "vector"]
TargetForm = Literal["none", "text", "integer", "number", "strings", "numbers", "vectors"]

_FORM_NAMES = {
    "none": "no target",
    "text": "a string",
    "integer": "a number",
    "number": "a number",
    "symbols": "a list of strings",
    "strings": "a list of strings",
    "series": "numbers",
    "category": "a category",
    "vector": "a vector",
    "numbers": "a list of numbers",
    "vectors": "a list of lists of numbers",
}
_SPLIT_NAMES = ("train", "val", "test")


def check_text(text: str, path: str = "") -> None:
    """Refuse what neither UTF-8 nor the database can hold; raises InvalidInput."""
    if "\0" in text:
        raise InvalidInput("a NUL character: text must not hold one", path)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput("half of a surrogate pair: no Unicode text holds one", path) from None


@dataclass
class Names:
    """Strings and the number each was given when it was first met."""

    ids: dict[str, int] = field(default_factory=dict)

    def number_all(self, names: Sequence[str]) -> NDArray[np.int32]:
        """int32[T]; raises InvalidInput at a new name that cannot be stored."""
        for name in sorted(set(names) - self.ids.keys()):
            check_text(name, f"[{names.index(name)}]" if len(names) > 1 else "")
            self.ids[name] = len(self.ids)
        return np.fromiter(map(self.ids.__getitem__, names), np.int32, len(names))


def _sequence_form(raw: object) -> InputForm:
    if isinstance(raw, str):
        return "text"
    if isinstance(raw, np.ndarray):
        return "series"
    if isinstance(raw, list | tuple):
        return "symbols" if raw and isinstance(raw[0], str) else "series"
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        raise InvalidInput(
            "a single number is no sequence: give a list of numbers, or set input_kind to category"
            " (one-to-many, one-to-one)"
        )
    raise InvalidInput(f"expected text or a list, got {json_word(raw)}")


_FORMS: dict[InputKind, Callable[[object], InputForm]] = {
    "auto": _sequence_form,
    "sequence": _sequence_form,
    "category": lambda raw: "category",
    "vector": lambda raw: "vector",
}


@dataclass
class InputIntake:
    """The inputs so far; all share a form, and a number of features."""

    options: DatasetOptions
    form: InputForm | None = None
    names: Names = field(default_factory=Names)
    rows: list[Array] = field(default_factory=list)  # int32[T] numbers of names, or float64[T, F]

    @property
    def is_sequence(self) -> bool:
        return self.form not in ("category", "vector")

    @property
    def tokens(self) -> Literal["char", "word", "list"]:
        return "list" if self.form == "symbols" else self.options.tokens or "char"

    def add(self, raw: object, *, empty_is_fine: bool = False) -> None:
        """Raises InvalidInput; `empty_is_fine` for the lines of a stream."""
        form = _FORMS[self.options.input_kind](raw)
        self.form = self.form or form
        if form != self.form:
            raise InvalidInput(_differs(form, self.form))
        if form in _NUMBERS:
            self.rows.append(self._same_width(_NUMBERS[form](raw)))
        elif form == "category":
            self.rows.append(self.names.number_all([category_of(raw)]))
        elif empty_is_fine and isinstance(raw, str) and not raw.strip():
            self.rows.append(self.names.number_all(list(raw) if self.tokens == "char" else []))
        else:
            self.rows.append(self.names.number_all(symbols_of(raw, self.tokens)))

    def _same_width(self, series: Array) -> Array:
        if self.rows and series.shape[1] != self.rows[0].shape[1]:
            raise InvalidInput(
                f"ragged features: {series.shape[1]} numbers a step where the first record has"
                f" {self.rows[0].shape[1]}",
                "[0]",
            )
        return series


_NUMBERS: dict[InputForm, Callable[[object], Array]] = {"series": series_of, "vector": vector_of}


def _differs(form: str, first: str) -> str:
    return f"{_FORM_NAMES[form]} where the first record has {_FORM_NAMES[first]}"


def _target_value(raw: object) -> tuple[TargetForm, Any]:
    """The form of one target and its checked value; raises InvalidInput."""
    if raw is None:
        return "none", None
    if isinstance(raw, str):
        check_text(raw)
        return "text", raw
    if isinstance(raw, int) and not isinstance(raw, bool):
        number(raw)
        return "integer", raw
    if isinstance(raw, float):
        return "number", number(raw)
    if not isinstance(raw, list | tuple):
        raise InvalidInput(f"expected a string, a number or a list, got {json_word(raw)}")
    if not raw:
        raise InvalidInput("an empty list: at least one value is needed")
    return _list_value(raw)


def _list_value(raw: Sequence[object]) -> tuple[TargetForm, Any]:
    if isinstance(raw[0], str):
        return "strings", strings(raw)
    if is_list(raw[0]):
        return "vectors", grid(raw)
    return "numbers", numbers(raw)


@dataclass
class TargetIntake:
    """The targets so far, checked one by one; whole and fractional numbers may mix."""

    forms: set[TargetForm] = field(default_factory=set)
    first: TargetForm | None = None
    names: Names = field(default_factory=Names)  # of lists of strings
    values: list[Any] = field(default_factory=list)  # str, int, float, or an array

    def add(self, raw: object) -> None:
        form, value = _target_value(raw)
        self.first = self.first or form
        if _FORM_NAMES[form] != _FORM_NAMES[self.first]:
            raise InvalidInput(_differs(form, self.first))
        if form == "vectors" and self.values and value.shape[1] != self.values[0].shape[1]:
            raise InvalidInput(
                f"{value.shape[1]} numbers a step where the first record has"
                f" {self.values[0].shape[1]}",
                "[0]",
            )
        self.forms.add(form)
        self.values.append(self.names.number_all(value) if form == "strings" else value)


class Intake:
    """Every record of a dataset, in order of arrival; faults are gathered, then raised together."""

    def __init__(self, options: DatasetOptions, *, stream: bool) -> None:
        self.faults = Faults()
        self.inputs = InputIntake(options)
        self.targets = TargetIntake()
        self.splits: list[str | None] = []
        self.where: list[str] = []
        self.rows: list[tuple[int, int] | None] = []
        self._stream = stream

    def take(self, entry: Entry) -> None:
        """Raises InvalidDataset at the twentieth fault."""
        if isinstance(entry, Fault):
            self.faults.take(entry)
            return
        self._try(entry.where, "split", lambda: self._take_split(entry.split))
        self._try(entry.where, "input", lambda: self._take_input(entry.input))
        self._try(entry.where, "target", lambda: self.targets.add(entry.target))
        self.where.append(entry.where)
        self.rows.append(entry.rows)

    def _take_split(self, split: str | None) -> None:
        if split is not None and split not in _SPLIT_NAMES:
            raise InvalidInput("expected train, val or test")
        if self.splits and (split is None) != (self.splits[0] is None):
            raise InvalidInput("all records must name their split, or none")
        self.splits.append(split)

    def _take_input(self, raw: object) -> None:
        self.inputs.add(raw, empty_is_fine=self._stream)

    def _try(self, where: str, field_name: str, step: Callable[[], None]) -> None:
        try:
            step()
        except InvalidInput as fault:
            self.faults.add(where, field_name + fault.path, fault.message)

    def close(self) -> None:
        """No more records come: raises InvalidDataset when any was faulty, or none came."""
        self.faults.raise_any()
        if not self.where:
            self.faults.add("file", None, "no records: at least one is needed")
            self.faults.raise_any()

    def keep(self, indices: Sequence[int]) -> None:
        """Forget all records but these."""
        columns: tuple[list[Any], ...] = (
            self.splits,
            self.where,
            self.rows,
            self.inputs.rows,
            self.targets.values,
        )
        for column in columns:
            column[:] = [column[index] for index in indices]

    def input_sequences(self) -> Ragged:
        return Ragged.of(self.inputs.rows)
