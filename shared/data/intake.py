"""Looks at records one by one as they arrive and puts their values on a spool. Decides no split."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal, TypeVar

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
from shared.data.ragged import Array
from shared.data.records import Entry, Fault, Faults, Record, invalid
from shared.data.scaling import is_binary
from shared.data.spool import Places, Spool

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
SPLIT_NAMES = ("train", "val", "test")
MAX_NAMES = 500_000  # different symbols or labels; a hundred bytes of memory each
_LARGEST_GROUP = 2**63
T = TypeVar("T")


def check_text(text: str, path: str = "") -> None:
    """Refuse what neither UTF-8 nor the database can hold; raises InvalidInput."""
    if "\0" in text:
        raise InvalidInput("a NUL character: text must not hold one", path)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput("half of a surrogate pair: no Unicode text holds one", path) from None


_TOO_MANY_NAMES = (
    f"more than {MAX_NAMES:,} different symbols or labels: split text by character (tokens,"
    " target_tokens), and set target_kind to text for targets that never repeat"
)


@dataclass
class Names:
    """Strings and the number each was given when it was first met."""

    ids: dict[str, int] = field(default_factory=dict)

    def number_all(self, names: Sequence[str]) -> NDArray[np.int32]:
        """int32[T]; raises InvalidInput at a new name that cannot be stored.

        Raises InvalidDataset when there are more than MAX_NAMES.
        """
        for name in sorted(set(names) - self.ids.keys()):
            check_text(name, f"[{names.index(name)}]" if len(names) > 1 else "")
            self.ids[name] = len(self.ids)
        if len(self.ids) > MAX_NAMES:
            raise invalid("file", None, _TOO_MANY_NAMES)
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
    rows: Spool = field(default_factory=Spool)  # int32[T] numbers of names, or float64[T, F]
    is_binary: bool = True  # every number is 0 or 1
    _width: int | None = None

    @property
    def is_sequence(self) -> bool:
        return self.form not in ("category", "vector")

    @property
    def tokens(self) -> Literal["char", "word", "list"]:
        return "list" if self.form == "symbols" else self.options.tokens or "char"

    def check(self, raw: object, *, empty_is_fine: bool = False) -> Array:
        """One input as it is put down; `empty_is_fine` for the lines of a stream.

        Raises InvalidInput.
        """
        form = _FORMS[self.options.input_kind](raw)
        self.form = self.form or form
        if form != self.form:
            raise InvalidInput(_differs(form, self.form))
        if form in _NUMBERS:
            return self._same_width(_NUMBERS[form](raw))
        if form == "category":
            return self.names.number_all([category_of(raw)])
        if empty_is_fine and isinstance(raw, str) and not raw.strip():
            return self.names.number_all(list(raw) if self.tokens == "char" else [])
        return self.names.number_all(symbols_of(raw, self.tokens))

    def put(self, row: Array) -> bytes:
        if self._width is not None:
            self.is_binary = self.is_binary and is_binary(row)
        return self.rows.append(row)

    def _same_width(self, series: Array) -> Array:
        if self._width is not None and series.shape[1] != self._width:
            raise InvalidInput(
                f"ragged features: {series.shape[1]} numbers a step where the first record has"
                f" {self._width}",
                "[0]",
            )
        self._width = series.shape[1]
        return series


_NUMBERS: dict[InputForm, Callable[[object], Array]] = {"series": series_of, "vector": vector_of}


def _differs(form: str, first: str) -> str:
    return f"{_FORM_NAMES[form]} where the first record has {_FORM_NAMES[first]}"


@dataclass
class TargetIntake:
    """The targets so far, checked one by one; whole and fractional numbers may mix."""

    options: DatasetOptions
    forms: set[TargetForm] = field(default_factory=set)
    first: TargetForm | None = None
    names: Names = field(default_factory=Names)  # labels, or the symbols of texts and lists
    rows: Spool = field(default_factory=Spool)  # int32[T] numbers of names, float64[T] or [T, F]
    is_binary: bool = True  # every number is 0 or 1
    _width: int | None = None

    def check(self, raw: object) -> Array | None:
        """One target as it is put down, None where there is none; raises InvalidInput."""
        form, value = self._value(raw)
        self.first = self.first or form
        if _FORM_NAMES[form] != _FORM_NAMES[self.first]:
            raise InvalidInput(_differs(form, self.first))
        if form == "vectors" and value is not None:
            self._check_width(value.shape[1])
        self.forms.add(form)
        return value

    def put(self, row: Array) -> bytes:
        self.is_binary = self.is_binary and row.dtype != np.int32 and is_binary(row)
        return self.rows.append(row)

    def _value(self, raw: object) -> tuple[TargetForm, Array | None]:
        if raw is None:
            return "none", None
        if isinstance(raw, str):
            check_text(raw)
            is_text = self.options.target_kind == "text"
            symbols = symbols_of(raw, self.options.target_tokens or "char") if is_text else [raw]
            return "text", self.names.number_all(symbols)
        if isinstance(raw, int | float) and not isinstance(raw, bool):
            return "integer" if isinstance(raw, int) else "number", np.array([number(raw)])
        if not isinstance(raw, list | tuple):
            raise InvalidInput(f"expected a string, a number or a list, got {json_word(raw)}")
        if not raw:
            raise InvalidInput("an empty list: at least one value is needed")
        return self._list_value(raw)

    def _list_value(self, raw: Sequence[object]) -> tuple[TargetForm, Array]:
        if isinstance(raw[0], str):
            return "strings", self.names.number_all(strings(raw))
        if is_list(raw[0]):
            return "vectors", grid(raw)
        return "numbers", numbers(raw)

    def _check_width(self, width: int) -> None:
        if self._width is not None and width != self._width:
            message = f"{width} numbers a step where the first record has {self._width}"
            raise InvalidInput(message, "[0]")
        self._width = width


class Intake:
    """Every record of a dataset, in order of arrival; faults are gathered, then raised together."""

    def __init__(self, options: DatasetOptions, *, stream: bool) -> None:
        self.faults = Faults()
        self.options = options
        self.inputs = InputIntake(options)
        self.targets = TargetIntake(options)
        self.where = Places()
        self.splits = array("b")  # numbers of SPLIT_NAMES; empty when records name none
        self.groups = array("q")  # of equal groups equal numbers; empty when records name none
        self.prints = Spool()  # uint64[1]: 62 bits of a hash of input and target, and two of 0
        self.windows: list[tuple[int, int]] = []  # the source rows of the first two windows
        self.num_too_long = 0
        self.shortest = 0  # steps of the shortest input that was too long
        self._num_taken = 0
        self._chosen: dict[str, bool] = {}
        self._stream = stream

    def take(self, entry: Entry) -> None:
        """Raises InvalidDataset at the twentieth fault."""
        if isinstance(entry, Fault):
            self.faults.take(entry)
            return
        where = entry.where
        split = self._try(where, "split", lambda: self._split(entry.split))
        group = self._try(where, "group", lambda: self._group(entry.group))
        row = self._try(where, "input", lambda: self._input(entry.input))
        target = self._try(where, "target", lambda: self.targets.check(entry.target))
        self._num_taken += 1
        if self.faults.found:
            return
        assert row is not None
        if self.options.max_length is not None and len(row) > self.options.max_length:
            self.shortest = min(self.shortest or len(row), len(row))
            self.num_too_long += 1
            return
        self._put(entry, row, target, split, group)

    def _put(
        self, entry: Record, row: Array, target: Array | None, split: int | None, group: int | None
    ) -> None:
        print_ = blake2b(self.inputs.put(row), digest_size=8)
        if target is not None:
            print_.update(b"\0" + self.targets.put(target))
        if not self._stream:
            number = int.from_bytes(print_.digest(), "little") & ~3
            self.prints.append(np.array([number], dtype=np.uint64))
        self.where.append(entry.where)
        if split is not None:
            self.splits.append(split)
        if group is not None:
            self.groups.append(group)
        if entry.rows is not None and len(self.windows) < 2:
            self.windows.append(entry.rows)

    def _split(self, split: str | None) -> int | None:
        if split is not None and split not in SPLIT_NAMES:
            raise InvalidInput("expected train, val or test")
        self._same_choice("split", is_given=split is not None)
        return None if split is None else SPLIT_NAMES.index(split)

    def _group(self, group: object) -> int | None:
        if isinstance(group, bool) or not isinstance(group, str | int | None):
            raise InvalidInput(f"expected a string or a whole number, got {json_word(group)}")
        self._same_choice("group", is_given=group is not None)
        if group is None:
            return None
        name = blake2b(str(group).encode(errors="surrogatepass"), digest_size=8)
        return int.from_bytes(name.digest(), "little") - _LARGEST_GROUP

    def _same_choice(self, name: str, *, is_given: bool) -> None:
        """Whether the first record did as this one does."""
        if self._chosen.setdefault(name, is_given) != is_given:
            raise InvalidInput(f"all records must name their {name}, or none")

    def _input(self, raw: object) -> Array:
        return self.inputs.check(raw, empty_is_fine=self._stream)

    def _try(self, where: str, field_name: str, step: Callable[[], T]) -> T | None:
        try:
            return step()
        except InvalidInput as fault:
            self.faults.add(where, field_name + fault.path, fault.message)
            return None

    def close(self) -> None:
        """No more records come: raises InvalidDataset when any was faulty, or none is left."""
        self.faults.raise_any()
        if not self._num_taken:
            raise invalid("file", None, "no records: at least one is needed")
        if len(self.where) == 0:
            message = f"nothing left after filtering: the shortest input has {self.shortest} steps"
            raise invalid("options", "max_length", message)

    def __len__(self) -> int:
        return len(self.where)
