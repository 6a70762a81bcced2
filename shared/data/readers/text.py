"""Reads plain text as one long stream, a record a line. Splits nothing into symbols."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from shared.data.options import DatasetOptions
from shared.data.readers.lines import decode, refuse_csv_options
from shared.data.records import Entry, InvalidDataset, Record


def read(file: BinaryIO, options: DatasetOptions) -> Iterator[Entry]:
    """A Record a line, its line feed included, so that the records in order are the text."""
    refuse_csv_options(options, "text")
    for line_number, line in enumerate(file, 1):
        yield _entry(line, line_number)


def _entry(line: bytes, line_number: int) -> Entry:
    try:
        text = decode(line, line_number).replace("\r\n", "\n")
    except InvalidDataset as error:
        return error.faults[0]
    return Record(text, None, None, f"line {line_number}")
