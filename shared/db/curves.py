"""Points of curves as arrays: their bytes for COPY, and the extremes of each block. Knows no SQL."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

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


class Block(NamedTuple):
    """What a curve does within `2 ** BLOCK_BITS` steps; None where no value is finite, or all are."""

    name: str
    number: int
    num_points: int
    min_value: float | None
    min_step: int | None
    max_value: float | None
    max_step: int | None
    odd_step: int | None
    """The first step whose value is not finite."""


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


def copy_rows(job_id: str, curve: Curve) -> bytes:
    """Rows of `metrics` as binary COPY takes them: a whole curve at once, none of it in Python.

    Each row is its number of columns, then each column's length and bytes, all big-endian
    (https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format").
    """
    columns: list[tuple[str, str, Any]] = [
        ("job_id", f"S{len(job_id.encode())}", job_id.encode()),
        ("name", f"S{len(curve.name.encode())}", curve.name.encode()),
        ("step", ">i8", curve.steps),
        ("value", ">f8", curve.values),
        ("epoch", ">f8", curve.epochs),
        ("time", ">i8", curve.times - PG_EPOCH_US),
    ]
    fields = [("num_columns", ">i2")]
    for name, kind, _ in columns:
        fields += [(f"{name}_bytes", ">i4"), (name, kind)]
    rows = np.empty(len(curve.steps), np.dtype(fields))
    rows["num_columns"] = len(columns)
    for name, kind, values in columns:
        rows[f"{name}_bytes"] = np.dtype(kind).itemsize
        rows[name] = values
    return rows.tobytes()


def blocks_of(curve: Curve) -> Iterator[Block]:
    """The extremes of each block that the points lie in; the earliest step wins a tie."""
    finite = np.isfinite(curve.values)
    steps, values = curve.steps[finite], curve.values[finite]
    low, high = _firsts(steps, values), _firsts(steps, -values)
    odd = _firsts(curve.steps[~finite], np.zeros(int((~finite).sum())))
    numbers, counts = np.unique(curve.steps >> BLOCK_BITS, return_counts=True)
    for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        smallest, min_step = low.get(number, (None, None))
        largest, max_step = high.get(number, (None, None))
        max_value = None if largest is None else -largest
        odd_step = odd.get(number, (None, None))[1]
        yield Block(curve.name, number, count, smallest, min_step, max_value, max_step, odd_step)


def _firsts(steps: Ints, values: Floats) -> dict[int, tuple[float, int]]:
    """The smallest value of each block and its step."""
    numbers = steps >> BLOCK_BITS
    order = np.lexsort((steps, values, numbers))
    found, first = np.unique(numbers[order], return_index=True)
    chosen = order[first]
    pairs = zip(values[chosen].tolist(), steps[chosen].tolist(), strict=True)
    return dict(zip(found.tolist(), pairs, strict=True))


def columns_of(blocks: Sequence[Block]) -> list[list[Any]]:
    """One list a column, for `unnest`."""
    return [list(column) for column in zip(*blocks, strict=True)]
