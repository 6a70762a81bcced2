"""Reads tables, such as CSV files: one record a row, of text or of numbers, or one a window. Splits nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from shared.data.inputs import InvalidInput
from shared.data.options import DatasetOptions
from shared.data.readers.sheet import Sheet, cell_number, open_sheet
from shared.data.readers.windows import read_windows
from shared.data.records import Entry, Fault, Record, invalid

Cell = Callable[[str], object]


def read(file: BinaryIO, options: DatasetOptions) -> Iterator[Entry]:
    """A Record or a Fault a row, or a Record a window; raises InvalidDataset for the file's faults."""
    yield from read_sheet(open_sheet(file), options)


def read_sheet(sheet: Sheet, options: DatasetOptions) -> Iterator[Entry]:
    """The same, from any table."""
    if options.window is not None:
        yield from read_windows(sheet, options)
    elif options.input_column is not None:
        column = sheet.index(options.input_column, "input_column")
        yield from _rows(sheet, options, lambda cells: cells[column])
    elif options.input_columns is not None:
        yield from _rows(sheet, options, _series(sheet, options.input_columns))
    else:
        raise invalid(
            "options",
            "input_column",
            "a table must know its inputs: set input_column (text), input_columns (numbers) or window"
            f" (rows); the columns are {', '.join(sheet.header)}",
        )


def _series(sheet: Sheet, names: Sequence[str]) -> Callable[[Sequence[str]], object]:
    columns = [sheet.index(name, "input_columns") for name in names]
    return lambda cells: [
        _checked(cell_number, cells[column], name)
        for column, name in zip(columns, names, strict=True)
    ]


def _rows(
    sheet: Sheet, options: DatasetOptions, read_input: Callable[[Sequence[str]], object]
) -> Iterator[Entry]:
    read_target, read_group = _target(sheet, options), _group(sheet, options)
    for where, cells in sheet.rows():
        try:
            group = read_group(cells)
            yield Record(read_input(cells), read_target(cells), None, where, group=group)
        except InvalidInput as fault:
            yield Fault(where, fault.path, fault.message)


def _group(sheet: Sheet, options: DatasetOptions) -> Callable[[Sequence[str]], object]:
    name = options.group_column
    if name is None:
        return lambda cells: None
    column = sheet.index(name, "group_column")
    return lambda cells: _checked(label, cells[column], name)


def _target(sheet: Sheet, options: DatasetOptions) -> Callable[[Sequence[str]], object]:
    name = options.target_column
    if name is None:
        return lambda cells: None
    column = sheet.index(name, "target_column")
    read_cell = _target_cell(sheet, name, options)
    return lambda cells: _checked(read_cell, cells[column], name)


def _target_cell(sheet: Sheet, name: str, options: DatasetOptions) -> Cell:
    kind = sheet.kind(name)
    if options.target_kind in _ASKED_CELLS:
        return _ASKED_CELLS[options.target_kind]
    if kind == "integer":
        return _whole_number
    return cell_number if kind == "number" and options.target_kind == "auto" else label


def _whole_number(cell: str) -> int:
    return int(label(cell))


def label(cell: str) -> str:
    """The text of a cell that must not be empty; raises InvalidInput."""
    if not cell.strip():
        raise InvalidInput("no value: every row needs one")
    return cell.strip()


_ASKED_CELLS: dict[str, Cell] = {"regression": cell_number, "text": label}


def _checked(read_cell: Cell, cell: str, column: str) -> object:
    """The value of a cell; InvalidInput leads to the column."""
    try:
        return read_cell(cell)
    except InvalidInput as fault:
        raise InvalidInput(fault.message, column) from None
    except ValueError:  # Python refuses to read integers of thousands of digits
        raise InvalidInput("a number with too many digits", column) from None
