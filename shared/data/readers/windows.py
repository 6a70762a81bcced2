"""Cuts the columns of a sheet into windows and what follows each. Knows no splits."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from shared.data.inputs import Floats, InvalidInput
from shared.data.options import DatasetOptions
from shared.data.readers.sheet import Sheet, cell_number
from shared.data.records import Faults, Record, invalid

MAX_NUMBERS = 50_000_000  # in all windows together, 400 MB: overlapping ones repeat their rows


def read_windows(sheet: Sheet, options: DatasetOptions) -> Iterator[Record]:
    """Windows in time order, each knowing its rows; raises InvalidDataset."""
    plan = _plan(sheet, options)
    series, labels = _load(sheet, plan)
    for start in plan.starts:
        end = start + plan.window
        yield Record(
            input=series[start:end, : len(plan.inputs)],
            target=_target(plan, series, labels, end),
            split=None,
            where=f"rows {start + 1}-{start + plan.span}",
            rows=(start, start + plan.span),
        )


@dataclass(frozen=True)
class _Plan:
    inputs: tuple[str, ...]
    target: str | None
    labelled: bool  # the target is a label at the window's last row
    window: int
    horizon: int  # rows after the window that the target takes; 0 without a numeric target
    starts: range

    @property
    def span(self) -> int:
        return self.window + self.horizon


def _plan(sheet: Sheet, options: DatasetOptions) -> _Plan:
    assert options.window is not None
    target = options.target_column
    labelled = _is_labelled(sheet, options)
    horizon = options.horizon if target is not None and not labelled else 0
    if horizon == 0 and options.horizon > 1:
        raise invalid("options", "horizon", "needs a numeric target_column to look ahead in")
    inputs = _inputs(sheet, options, labelled=labelled)
    starts = range(0, sheet.num_rows - options.window - horizon + 1, options.stride)
    _check_size(sheet, options, len(starts), len(inputs), horizon)
    return _Plan(inputs, target, labelled, options.window, horizon, starts)


def _is_labelled(sheet: Sheet, options: DatasetOptions) -> bool:
    if options.target_column is None:
        return False
    sheet.index(options.target_column, "target_column")
    if options.target_kind != "auto":
        return options.target_kind == "class"
    return sheet.kind(options.target_column) == "text"


def _inputs(sheet: Sheet, options: DatasetOptions, *, labelled: bool) -> tuple[str, ...]:
    if options.input_columns is not None:
        for name in options.input_columns:
            sheet.index(name, "input_columns")
        return options.input_columns
    label = options.target_column if labelled else None  # a label must not give itself away
    names = tuple(name for name in sheet.numeric_columns() if name != label)
    if not names:
        raise invalid("options", "input_columns", "the file has no numeric column to read")
    return names


def _check_size(
    sheet: Sheet, options: DatasetOptions, num_windows: int, num_columns: int, horizon: int
) -> None:
    assert options.window is not None
    if num_windows == 0:
        raise invalid(
            "options",
            "window",
            f"nothing left: {sheet.num_rows} rows are too few for a window of {options.window}"
            f" and {horizon} more to predict",
        )
    size = num_windows * options.window * num_columns
    if size > MAX_NUMBERS:
        raise invalid(
            "options",
            "stride",
            f"{num_windows} windows would hold {size:,} numbers, more than {MAX_NUMBERS:,}: raise"
            " stride or lower window",
        )


def _load(sheet: Sheet, plan: _Plan) -> tuple[Floats, list[str]]:
    """The numbers [rows, inputs + numeric target] and the labels; raises InvalidDataset."""
    names = plan.inputs + ((plan.target,) if plan.target and not plan.labelled else ())
    columns = [sheet.header.index(name) for name in names]
    label = sheet.header.index(plan.target) if plan.target and plan.labelled else None
    numbers, labels, faults = array("d"), [], Faults()
    for where, cells in sheet.rows():
        for column in columns:
            numbers.append(_number(cells[column], where, sheet.header[column], faults))
        if label is not None:
            labels.append(cells[label].strip())
            if not labels[-1]:
                faults.add(where, plan.target, "no value: every row needs a label")
    faults.raise_any()
    return np.frombuffer(numbers).reshape(-1, len(names)), labels


def _number(cell: str, where: str, column: str, faults: Faults) -> float:
    try:
        return cell_number(cell)
    except InvalidInput as fault:
        faults.add(where, column, fault.message)
        return 0.0


def _target(plan: _Plan, series: Floats, labels: list[str], end: int) -> object:
    if plan.target is None:
        return None
    if plan.labelled:
        return labels[end - 1]
    ahead: list[float] = series[end : end + plan.horizon, -1].tolist()
    return ahead[0] if plan.horizon == 1 else ahead
