"""What the readers of lines share: decoding, and refusing options that mean nothing to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from shared.data.options import TABLES_ONLY, DatasetOptions
from shared.data.records import invalid

_BOM = b"\xef\xbb\xbf"
MAX_LINE_BYTES = 8 * 2**20  # a line is held whole, and its values take several times as much


def lines_of(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Each line with its number from 1; raises InvalidDataset at one past MAX_LINE_BYTES."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            message = f"longer than {MAX_LINE_BYTES >> 20} MiB: give each record a line of its own"
            raise invalid(f"line {number}", None, message)
        yield number, line


def decode(line: bytes, line_number: int) -> str:
    """One line (counted from 1) as text; raises InvalidDataset when it is no UTF-8."""
    if line_number == 1:
        line = line.removeprefix(_BOM)
    try:
        return line.decode()
    except UnicodeDecodeError as fault:
        raise invalid(
            f"line {line_number}",
            None,
            f"byte {fault.start + 1} is not UTF-8 text: save the file as UTF-8",
        ) from None


def refuse_table_options(options: DatasetOptions, format_name: str) -> None:
    """Raises InvalidDataset when an option is set that only tables have."""
    for name in options.chosen(TABLES_ONLY):
        message = f"applies to tables (csv, parquet) only, and this file is {format_name}"
        raise invalid("options", name, message)
