"""What the columns of a CSV file may be for, guessed from its first rows; only ever a proposal."""

import csv
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from pydantic import BaseModel

from shared.data.inputs import InvalidInput
from shared.data.readers.sheet import cell_number, delimiter_of

USUAL_WINDOW = 24
MAX_ROWS = 10 * USUAL_WINDOW
DATE = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}([T ].*)?")
Use = Literal["number", "time", "text", "empty"]


class ColumnsView(BaseModel):
    names: list[str]
    kind: Literal["input_column", "input_columns", "window"]
    fields: dict[str, str]
    """What to fill into the form of an upload, by the names of its fields."""


def columns_view(head: str) -> ColumnsView:
    """`head` = the first lines of the file, the last of which may be cut off."""
    lines = head.removeprefix("\ufeff").splitlines()
    reader = csv.reader(lines, delimiter=delimiter_of(lines[0]) if lines else ",")
    rows = [row for row, _ in zip(reader, range(MAX_ROWS + 1), strict=False) if row]
    names = [name.strip() for name in rows[0]] if rows else []
    whole = [row for row in rows[1:] if len(row) == len(names)]
    uses = {name: _use([row[i].strip() for row in whole]) for i, name in enumerate(names)}
    length = {name: sum(len(row[i]) for row in whole) for i, name in enumerate(names)}
    texts = sorted((n for n in names if uses[n] == "text"), key=lambda name: -length[name])
    numbers = [name for name in names if uses[name] == "number"]
    is_series = "time" in uses.values() or not texts
    if len(texts) > 1 or (texts and len(numbers) < 2):
        others = [name for name in names if name in (*texts[1:], *numbers)]
        return _view(names, "input_column", texts[:1], others[-1:])
    if numbers and is_series:
        window = min(USUAL_WINDOW, max(2, len(whole) // 10))
        return _view(names, "window", numbers, texts, window)
    return _view(names, "input_columns", numbers, texts)


def _view(
    names: list[str],
    kind: Literal["input_column", "input_columns", "window"],
    inputs: list[str],
    targets: list[str],
    window: int | None = None,
) -> ColumnsView:
    fields = {
        "options.input_column": ", ".join(inputs),
        "options.target_column": "".join(targets[:1]),
        "options.window": str(window or ""),
    }
    return ColumnsView(names=names, kind=kind, fields=fields)


def _use(cells: Sequence[str]) -> Use:
    filled = [cell for cell in cells if cell]
    if not filled:
        return "empty"
    if all(DATE.fullmatch(cell) for cell in filled):
        return "time"
    try:
        values = [cell_number(cell) for cell in filled]
    except InvalidInput:
        return "text"
    is_counted = len(values) > 2 and all(a < b for a, b in pairwise(values))
    return "time" if is_counted else "number"
