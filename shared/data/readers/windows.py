"""Cuts the columns of a sheet into windows and what follows each. Knows no splits."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from shared.data.inputs import Floats, InvalidInput
from shared.data.options import DatasetOptions
from shared.data.readers.sheet import Sheet, cell_number
from shared.data.records import Faults, Record, invalid
from shared.data.spool import Spool

MAX_NUMBERS = 50_000_000  # in all windows together, 400 MB: overlapping ones repeat their rows


def read_windows(sheet: Sheet, options: DatasetOptions) -> Iterator[Record]:
    """Windows in time order, each knowing its rows; raises InvalidDataset."""
    plan = _plan(sheet, options)
    rows = _load(sheet, plan)
    runs = [(first, plan.starts(first, end)) for first, end in rows.runs()]
    _check_num(options, sum(len(starts) for _, starts in runs), sheet.num_rows, plan)
    for start in chain.from_iterable(starts for _, starts in runs):
        end = start + plan.window
        span = rows.numbers.steps(start, start + plan.span)
        yield Record(
            input=span[: plan.window, : len(plan.inputs)],
            target=_target(plan, rows, span, end),
            split=None,
            where=f"rows {start + 1}-{start + plan.span}",
            rows=(start, start + plan.span),
            group=rows.group_at(start),
        )


@dataclass(frozen=True)
class _Plan:
    inputs: tuple[str, ...]
    target: str | None
    labelled: bool  # the target is a label at the window's last row
    group: str | None  # the column whose value no window has two of
    window: int
    horizon: int  # rows after the window that the target takes; 0 without a numeric target
    stride: int

    @property
    def span(self) -> int:
        return self.window + self.horizon

    def starts(self, first: int, end: int) -> range:
        """The first rows of the windows within rows [first, end)."""
        return range(first, end - self.span + 1, self.stride)


@dataclass
class _Rows:
    """The columns that windows need, row by row."""

    numbers: Spool = field(default_factory=Spool)  # float64[1, inputs + numeric target] each
    names: dict[str, int] = field(default_factory=dict)  # of labels and groups
    labels: array[int] = field(default_factory=lambda: array("i"))
    groups: array[int] = field(default_factory=lambda: array("i"))

    def number(self, name: str) -> int:
        return self.names.setdefault(name, len(self.names))

    def label(self, row: int) -> str:
        return self._known[self.labels[row]]

    def group_at(self, row: int) -> str | None:
        return self._known[self.groups[row]] if self.groups else None

    @property
    def _known(self) -> list[str]:
        if len(self._listed) != len(self.names):
            self._listed[:] = self.names
        return self._listed

    _listed: list[str] = field(default_factory=list)

    def runs(self) -> list[tuple[int, int]]:
        """Rows [first, end) of one group each; all rows where there are no groups."""
        if not self.groups:
            return [(0, len(self.numbers))]
        groups = np.frombuffer(self.groups, dtype=np.int32)
        starts = np.flatnonzero(np.append(True, groups[1:] != groups[:-1]))
        if len(np.unique(groups[starts])) != len(starts):
            message = "rows of a group stand apart: sort the file by group, then by time"
            raise invalid("options", "group_column", message)
        return list(zip(starts.tolist(), [*starts[1:].tolist(), len(groups)], strict=True))


def _plan(sheet: Sheet, options: DatasetOptions) -> _Plan:
    assert options.window is not None
    target, group = options.target_column, options.group_column
    labelled = _is_labelled(sheet, options)
    horizon = options.horizon if target is not None and not labelled else 0
    if horizon == 0 and options.horizon > 1:
        raise invalid("options", "horizon", "needs a numeric target_column to look ahead in")
    if group is not None:
        sheet.index(group, "group_column")
    inputs = _inputs(sheet, options, labelled=labelled)
    plan = _Plan(inputs, target, labelled, group, options.window, horizon, options.stride)
    _check_num(options, len(plan.starts(0, sheet.num_rows)), sheet.num_rows, plan)
    return plan


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
    no_inputs = (label, options.group_column)
    names = tuple(name for name in sheet.numeric_columns() if name not in no_inputs)
    if not names:
        raise invalid("options", "input_columns", "the file has no numeric column to read")
    return names


def _check_num(options: DatasetOptions, num_windows: int, num_rows: int, plan: _Plan) -> None:
    if num_windows == 0:
        within = " of one group" if plan.group else ""
        raise invalid(
            "options",
            "window",
            f"nothing left: {num_rows} rows are too few for a window of {plan.window}"
            f" and {plan.horizon} more to predict{within}",
        )
    size = num_windows * plan.window * len(plan.inputs)
    if size > MAX_NUMBERS:
        raise invalid(
            "options",
            "stride",
            f"{num_windows} windows would hold {size:,} numbers, more than {MAX_NUMBERS:,}: raise"
            " stride or lower window",
        )


def _load(sheet: Sheet, plan: _Plan) -> _Rows:
    """Every row's numbers, label and group; raises InvalidDataset."""
    names = plan.inputs + ((plan.target,) if plan.target and not plan.labelled else ())
    columns = [sheet.header.index(name) for name in names]
    distinct = dict.fromkeys(columns)  # a target may be an input too
    rows, faults = _Rows(), Faults()
    wanted = ((plan.target if plan.labelled else None, rows.labels), (plan.group, rows.groups))
    named = [(n, sheet.header.index(n), found) for n, found in wanted if n is not None]
    for where, cells in sheet.rows():
        read = {c: _number(cells[c], where, sheet.header[c], faults) for c in distinct}
        rows.numbers.append(np.array([[read[c] for c in columns]]))
        for name, column, found in named:
            found.append(rows.number(cells[column].strip()))
            if not cells[column].strip():
                faults.add(where, name, "no value: every row needs one")
    faults.raise_any()
    return rows


def _number(cell: str, where: str, column: str, faults: Faults) -> float:
    try:
        return cell_number(cell)
    except InvalidInput as fault:
        faults.add(where, column, fault.message)
        return 0.0


def _target(plan: _Plan, rows: _Rows, span: Floats, end: int) -> object:
    if plan.target is None:
        return None
    if plan.labelled:
        return rows.label(end - 1)
    ahead: list[float] = span[plan.window :, -1].tolist()
    return ahead[0] if plan.horizon == 1 else ahead
