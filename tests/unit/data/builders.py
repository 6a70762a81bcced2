"""Short ways to make small datasets for the tests of shared.data. Asserts nothing."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from typing import Any

from shared.data.build import BuiltDataset
from shared.data.options import DatasetOptions
from shared.data.readers import build_from_file
from shared.data.records import Fault, InvalidDataset
from shared.data.table import DatasetTable


def build(content: str | bytes, format_name: str = "jsonl", **options: Any) -> BuiltDataset:
    data = content.encode() if isinstance(content, str) else content
    return build_from_file(io.BytesIO(data), format_name, DatasetOptions(**options))


def build_rows(rows: Iterable[dict[str, Any]], **options: Any) -> BuiltDataset:
    return build("\n".join(json.dumps(row) for row in rows), **options)


def table_of(built: BuiltDataset) -> DatasetTable:
    return DatasetTable.open(built.arrow)


def faults_of(content: str | bytes, format_name: str = "jsonl", **options: Any) -> list[Fault]:
    """The faults that building reports; an empty list when it reports none."""
    try:
        build(content, format_name, **options)
    except InvalidDataset as error:
        return list(error.faults)
    return []


def row_faults(rows: Iterable[dict[str, Any]], **options: Any) -> list[Fault]:
    return faults_of("\n".join(json.dumps(row) for row in rows), **options)
