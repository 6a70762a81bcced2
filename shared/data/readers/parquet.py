"""Reads Parquet files: records in the columns `input` and `target`, or a table of plain columns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from shared.data.options import TABLES_ONLY, DatasetOptions
from shared.data.readers.csv import read_sheet
from shared.data.readers.jsonl import FIELDS
from shared.data.readers.sheet import ColumnKind, Sheet, check_header
from shared.data.records import Entry, Fault, Record, invalid

ROWS_AT_ONCE = 1024
MAX_GROUP_BYTES = 2**30  # of a row group, unpacked
_LIMITS = {  # of the description at the end of the file
    "thrift_string_size_limit": 16 * 2**20,
    "thrift_container_size_limit": 2**20,
}


def read(file: BinaryIO, options: DatasetOptions) -> Iterator[Entry]:
    """A Record or a Fault a row, or a Record a window; raises InvalidDataset."""
    with _readable():
        table = pq.ParquetFile(file, **_LIMITS)
        _check_groups(table)
    if "input" in table.schema_arrow.names and not options.chosen(TABLES_ONLY):
        yield from _records(table)
    else:
        yield from read_sheet(_sheet(table), options)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, MemoryError) as error:
        message = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise invalid("file", None, f"not a Parquet file that can be read: {message}") from None


def _check_groups(table: Any) -> None:
    for number in range(table.num_row_groups):
        num_bytes = table.metadata.row_group(number).total_byte_size
        if num_bytes > MAX_GROUP_BYTES:
            message = (
                f"row group {number} takes {num_bytes / 2**30:.1f} GiB: write the file in smaller"
                " ones (row_group_size)"
            )
            raise invalid("file", None, message)


def _rows(table: Any, columns: tuple[str, ...]) -> Iterator[tuple[str, list[Any]]]:
    """Each row's place, counted from 1, and its values."""
    with _readable():
        batches = table.iter_batches(ROWS_AT_ONCE, columns=list(columns), use_threads=False)
        first = 1
        for batch in batches:
            values = [_values(batch.column(name)) for name in columns]
            for index, row in enumerate(zip(*values, strict=True)):
                yield f"row {first + index}", list(row)
            first += batch.num_rows


def _values(column: Any) -> list[Any]:
    return column.to_pylist()  # type: ignore[no-any-return]


def _records(table: Any) -> Iterator[Entry]:
    names = tuple(table.schema_arrow.names)
    for name in names:
        if name not in FIELDS:
            message = f"unknown column: records have {', '.join(FIELDS)}"
            raise invalid("file", name[:40], message)
    for where, values in _rows(table, names):
        row = dict(zip(names, values, strict=True))
        if row["input"] is None:
            yield Fault(where, "input", "missing: every record needs an input")
            continue
        split = row.get("split")
        if not isinstance(split, str | None):
            yield Fault(where, "split", "expected train, val or test")
            continue
        yield Record(row["input"], row.get("target"), split, where, group=row.get("group"))


@dataclass(frozen=True)
class ParquetSheet(Sheet):
    """A table of plain columns, its cells as a CSV file would have them."""

    table: Any

    def rows(self) -> Iterator[tuple[str, list[str]]]:
        for where, values in _rows(self.table, self.header):
            yield where, [_cell(value) for value in values]


def _sheet(table: Any) -> ParquetSheet:
    schema = table.schema_arrow
    check_header(list(schema.names))
    for field in schema:
        if pa.types.is_nested(field.type):
            message = (
                f"{str(field.type)[:80]} is no plain column: name columns of records"
                f" {', '.join(FIELDS)}"
            )
            raise invalid("file", field.name[:40], message)
    kinds = tuple(_kind(field.type) for field in schema)
    return ParquetSheet(tuple(schema.names), kinds, table.metadata.num_rows, table)


def _kind(type_: Any) -> ColumnKind:
    if pa.types.is_integer(type_) or pa.types.is_boolean(type_):
        return "integer"
    return "number" if pa.types.is_floating(type_) or pa.types.is_decimal(type_) else "text"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(int(value) if isinstance(value, bool) else value)
