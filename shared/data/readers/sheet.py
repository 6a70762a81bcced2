"""Named columns and rows of cells, from a CSV file too. Knows what a number looks like, nothing of records."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

from shared.data.inputs import LARGEST, NOT_FINITE, TOO_LARGE, InvalidInput
from shared.data.readers.lines import decode, lines_of
from shared.data.records import Faults, invalid

ColumnKind = Literal["empty", "integer", "number", "text"]  # each holds what those before it hold

_KINDS: tuple[ColumnKind, ...] = ("empty", "integer", "number", "text")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(
    r"[+-]?([0-9]+\.?[0-9]*([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?|nan|inf(inity)?)", re.I
)
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Sheet:
    """A table whose every row has been counted and has as many cells as the header."""

    header: tuple[str, ...]
    kinds: tuple[ColumnKind, ...]
    num_rows: int

    def index(self, column: str, option: str) -> int:
        """Raises InvalidDataset, naming the option that asked, when there is no such column."""
        if column not in self.header:
            known = ", ".join(self.header)
            raise invalid("options", option, f"no column {column!r}: the file has {known}")
        return self.header.index(column)

    def kind(self, column: str) -> ColumnKind:
        return self.kinds[self.header.index(column)]

    def numeric_columns(self) -> tuple[str, ...]:
        return tuple(name for name in self.header if self.kind(name) in ("integer", "number"))

    def rows(self) -> Iterator[tuple[str, list[str]]]:
        """Each row's place and its cells, the header left out."""
        raise NotImplementedError


@dataclass(frozen=True)
class CsvSheet(Sheet):
    """The same, from lines of cells."""

    file: BinaryIO

    def rows(self) -> Iterator[tuple[str, list[str]]]:
        rows = _rows(self.file)
        next(rows)
        return rows


def open_sheet(file: BinaryIO) -> CsvSheet:
    """Read the whole file once; raises InvalidDataset for what is no table with a header."""
    rows = _rows(file)
    header = next(rows, None)
    if header is None:
        raise invalid("file", None, "empty: expected a header with the names of the columns")
    names = [name.strip() for name in header[1]]
    check_header(names)
    num_rows, kinds = _survey(rows, len(names))
    return CsvSheet(tuple(names), kinds, num_rows, file)


def check_header(names: list[str]) -> None:
    for name, count in Counter(names).items():
        if not name:
            raise invalid("line 1", None, "a column without a name: the first line names them")
        if "\0" in name:
            raise invalid("line 1", None, "a NUL character: text must not hold one")
        if count > 1:
            raise invalid("line 1", name, "two columns have this name: rename one")


def _survey(
    rows: Iterator[tuple[str, list[str]]], width: int
) -> tuple[int, tuple[ColumnKind, ...]]:
    ranks, num_rows, faults = [0] * width, 0, Faults()
    for where, cells in rows:
        num_rows += 1
        if len(cells) != width:
            faults.add(where, None, f"{len(cells)} cells where the header names {width} columns")
            continue
        for index, cell in enumerate(cells):
            if ranks[index] < 3:
                ranks[index] = max(ranks[index], _rank(cell.strip()))
    faults.raise_any()
    return num_rows, tuple(_KINDS[rank] for rank in ranks)


def _rank(cell: str) -> int:
    if not cell:
        return 0
    if _INTEGER.fullmatch(cell):
        return 1
    return 2 if _NUMBER.fullmatch(cell) else 3


def _rows(file: BinaryIO) -> Iterator[tuple[str, list[str]]]:
    """The header, then the rows, counted from 1 after it; blank lines are skipped."""
    file.seek(0)
    lines = (decode(line, number) for number, line in lines_of(file))
    first = next(lines, "")
    reader = csv.reader(_chain(first, lines), delimiter=delimiter_of(first), strict=True)
    row_number = 0
    try:
        for cells in reader:
            if cells:
                yield f"row {row_number} (line {reader.line_num})", cells
                row_number += 1
    except csv.Error as error:
        raise invalid(f"line {reader.line_num}", None, f"not CSV: {error}") from None


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from rest


def delimiter_of(header: str) -> str:
    return max(_DELIMITERS, key=header.count)  # the comma when none occurs


def cell_number(cell: str) -> float:
    """The finite number in a cell; raises InvalidInput."""
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if abs(value) <= LARGEST and "_" not in cell:  # Python reads 1_000, other programs do not
        return value
    raise InvalidInput(_why_no_number(cell.strip(), value))


def _why_no_number(text: str, value: float) -> str:
    if not text:
        return (
            "no value: every cell of this column needs a number; fill it in, or leave the row out"
        )
    if not _NUMBER.fullmatch(text):
        return f"expected a number, got {text!r}"
    if math.isinf(value) or math.isnan(value):
        return NOT_FINITE
    return TOO_LARGE
