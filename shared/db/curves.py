"""Points of curves as arrays: their bytes for COPY, and the extremes of each block. Knows no SQL."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_BITS = 7  # 128 steps: a million points are 8 thousand blocks, which is quick to read
PG_EPOCH_US = 946_684_800_000_000  # Postgres counts from 2000, Unix from 1970
COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END = b"\xff\xff"
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Point:
    """One value of one curve."""

    name: str
    step: int
    epoch: float
    value: float
    time: datetime


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of one name, one a step; times in microseconds since 1970."""

    name: str
    steps: Ints
    epochs: Floats
    values: Floats
    times: Ints


def microseconds(time: datetime) -> int:
    return round(time.timestamp() * 1_000_000)


def curves_of(points: Iterable[Point]) -> list[Curve]:
    """Points by name, in the order in which they came."""
    found: dict[str, list[Point]] = {}
    for point in points:
        found.setdefault(point.name, []).append(point)
    return [
        Curve(
            name,
            np.array([p.step for p in own], np.int64),
            np.array([p.epoch for p in own], np.float64),
            np.array([p.value for p in own], np.float64),
            np.array([microseconds(p.time) for p in own], np.int64),
        )
        for name, own in found.items()
    ]


def copy_rows(job_id: str, curves: Sequence[Curve]) -> Iterator[bytes]:
    """Rows of `metrics` as binary COPY takes them: whole curves at once, none of it in Python.

    Each row is its number of columns, then each column's length and bytes, all big-endian
    (https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"). Names of one length
    go together, because their rows are of one size.
    """
    by_length: dict[int, list[Curve]] = {}
    for curve in curves:
        by_length.setdefault(len(curve.name.encode()), []).append(curve)
    for own in by_length.values():
        yield _rows(job_id.encode(), own).tobytes()


def _rows(job_id: bytes, curves: Sequence[Curve]) -> NDArray[Any]:
    names = np.array([curve.name.encode() for curve in curves])
    columns: list[tuple[str, str, Any]] = [
        ("job_id", f"S{len(job_id)}", job_id),
        ("name", names.dtype.str, np.repeat(names, [len(curve.steps) for curve in curves])),
        ("step", ">i8", np.concatenate([curve.steps for curve in curves])),
        ("value", ">f8", np.concatenate([curve.values for curve in curves])),
        ("epoch", ">f8", np.concatenate([curve.epochs for curve in curves])),
        ("time", ">i8", np.concatenate([curve.times for curve in curves]) - PG_EPOCH_US),
    ]
    fields = [("num_columns", ">i2")]
    for name, kind, _ in columns:
        fields += [(f"{name}_bytes", ">i4"), (name, kind)]
    rows = np.empty(len(columns[-1][2]), np.dtype(fields))
    rows["num_columns"] = len(columns)
    for name, kind, values in columns:
        rows[f"{name}_bytes"] = np.dtype(kind).itemsize
        rows[name] = values
    return rows


def blocks_of(curves: Sequence[Curve]) -> list[list[Any]]:
    """What curves do within each `2 ** BLOCK_BITS` steps, one list a column, for `unnest`.

    Name, number of the block, number of points, smallest value and its step, largest value and
    its step, first step whose value is not finite; None where no value is finite, or all are. The
    earliest step wins a tie. All curves in one go: one at a time costs training its interpreter.
    """
    sizes = [len(curve.steps) for curve in curves]
    steps = np.concatenate([curve.steps for curve in curves])
    values = np.concatenate([curve.values for curve in curves])
    numbers = steps >> BLOCK_BITS
    lowest, span = numbers.min(), np.ptp(numbers) + 1
    places = np.repeat(np.arange(len(curves)), sizes) * span + numbers - lowest
    keys, blocks, counts = np.unique(places, return_inverse=True, return_counts=True)
    finite = np.isfinite(values)
    low = _firsts(blocks, steps, np.where(finite, values, np.nan))
    high = _firsts(blocks, steps, np.where(finite, -values, np.nan))
    odd = _firsts(blocks, steps, np.where(finite, np.nan, 0.0))
    return [
        [curves[index].name for index in (keys // span).tolist()],
        (keys % span + lowest).tolist(),
        counts.tolist(),
        *(_picked(low, column, len(keys)) for column in (values, steps)),
        *(_picked(high, column, len(keys)) for column in (values, steps)),
        _picked(odd, steps, len(keys)),
    ]


def _firsts(blocks: Ints, steps: Ints, values: Floats) -> tuple[Ints, Ints]:
    """Blocks that have a value, and the place of the smallest of each; NaN is none."""
    [there] = np.nonzero(~np.isnan(values))
    order = there[np.lexsort((steps[there], values[there], blocks[there]))]
    found, first = np.unique(blocks[order], return_index=True)
    return found, order[first]


def _picked(firsts: tuple[Ints, Ints], column: NDArray[Any], num_blocks: int) -> list[Any]:
    found, chosen = firsts
    picked = np.full(num_blocks, None, object)
    picked[found] = column[chosen]
    return picked.tolist()
