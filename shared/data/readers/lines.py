"""What the readers of lines share: decoding, and refusing options that mean nothing to them."""

from __future__ import annotations

from shared.data.options import CSV_ONLY, DatasetOptions
from shared.data.records import invalid

_BOM = b"\xef\xbb\xbf"


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


def refuse_csv_options(options: DatasetOptions, format_name: str) -> None:
    """Raises InvalidDataset when an option is set that only csv has."""
    for name in options.chosen(CSV_ONLY):
        raise invalid("options", name, f"applies to csv only, and this file is {format_name}")
