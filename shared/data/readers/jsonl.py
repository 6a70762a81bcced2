"""Reads JSON Lines: one record a line. Looks at the names of a record's fields, not at its values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import BinaryIO

from shared.data.inputs import json_word
from shared.data.options import DatasetOptions
from shared.data.readers.lines import decode, lines_of, refuse_table_options
from shared.data.records import Entry, Fault, InvalidDataset, Record

FIELDS = ("input", "target", "split", "group")


def read(file: BinaryIO, options: DatasetOptions) -> Iterator[Entry]:
    """A Record or a Fault a line; blank lines are skipped."""
    refuse_table_options(options, "jsonl")
    for line_number, line in lines_of(file):
        if line.strip():
            yield _entry(line, line_number)


def _entry(line: bytes, line_number: int) -> Entry:
    where = f"line {line_number}"
    try:
        return _record(json.loads(decode(line, line_number)), where)
    except InvalidDataset as error:
        return error.faults[0]
    except json.JSONDecodeError as error:
        return Fault(where, None, f"not JSON: {error.msg} (column {error.colno})")
    except RecursionError:
        return Fault(where, None, "nested too deeply: lists of lists of numbers are the limit")
    except ValueError:  # Python refuses to read integers of thousands of digits
        return Fault(where, None, "a number with too many digits")


def _record(raw: object, where: str) -> Entry:
    if not isinstance(raw, dict):
        return Fault(where, None, f'expected an object with "input", got {json_word(raw)}')
    for name in raw:
        if name not in FIELDS:
            return Fault(where, _shown(name), f"unknown field: a record has {', '.join(FIELDS)}")
    if "input" not in raw:
        return Fault(where, "input", "missing: every record needs an input")
    split = raw.get("split")
    if not isinstance(split, str | None):
        return Fault(where, "split", f"expected train, val or test, got {json_word(split)}")
    return Record(raw["input"], raw.get("target"), split, where, group=raw.get("group"))


def _shown(name: str) -> str:
    """A field's name as an answer can carry it: short, and free of half surrogate pairs."""
    return name[:40].encode(errors="replace").decode()
