"""How often each symbol or label occurs in each split, counted without holding them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.data.ragged import Array
from shared.data.spool import CHUNK, Column, Indices, Spool

Codes = NDArray[np.int8]  # of each record: the number of its split, -1 for none
Counts = NDArray[np.int64]  # [3, K]
Steps = Iterable[tuple[NDArray[Any], Array]]  # of each step: the code of its split, and its value


def steps_of(column: Column, codes: Codes) -> Iterator[tuple[NDArray[Any], Array]]:
    """The steps of all records, some at a time."""
    for first, rows in column.scan():
        yield np.repeat(codes[first : first + len(rows)], rows.lengths), rows.values


def steps_of_stream(spool: Spool, cuts: tuple[int, ...]) -> Iterator[tuple[NDArray[Any], Array]]:
    """The steps of one long sequence whose splits begin at `cuts`, the last of which ends it."""
    for start in range(0, cuts[-1], CHUNK):
        values = spool.steps(start, min(start + CHUNK, cuts[-1]))
        where = np.arange(start, start + len(values))
        yield np.searchsorted(np.array(cuts[1:-1]), where, side="right"), values


def count(steps: Steps, size: int) -> Counts:
    """int64[3, size]: how often each number below `size` occurs in train, val and test."""
    counts = np.zeros(3 * size, dtype=np.int64)
    for codes, values in steps:
        is_used = codes >= 0
        flat = codes[is_used].astype(np.int64) * size + values[is_used]
        counts += np.bincount(flat, minlength=3 * size)
    return counts.reshape(3, size)


@dataclass(frozen=True)
class Sizes:
    """The different lengths of some sequences, ascending, and how many sequences have each."""

    lengths: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, parts: Iterable[Indices]) -> Sizes:
        found: Counter[int] = Counter()
        for part in parts:
            some, counts = np.unique(part, return_counts=True)
            found.update(dict(zip(some.tolist(), counts.tolist(), strict=True)))
        lengths = sorted(found)
        counts = np.array([found[length] for length in lengths], dtype=np.int64)
        return cls(np.array(lengths, dtype=np.int64), counts)

    @classmethod
    def within(
        cls, spool: Spool, is_in: Callable[[Codes], NDArray[np.bool_]], codes: Codes
    ) -> Sizes:
        """Of the sequences of a spool whose codes are wanted."""
        return cls.of(
            part[is_in(codes[first : first + len(part)])] for first, part in spool.lengths.parts()
        )

    def quantiles(self, shares: Iterable[float]) -> list[int]:
        """The length that so large a share of sequences does not exceed; one that occurs."""
        ends = np.cumsum(self.counts)
        places = np.ceil(np.array([*shares]) * (ends[-1] - 1))
        return self.lengths[np.searchsorted(ends, places, side="right")].tolist()  # type: ignore[no-any-return]


def first_with(column: Column, wanted: Indices) -> dict[int, int]:
    """Of each wanted value, the first record that has it."""
    found: dict[int, int] = {}
    for first, rows in column.scan():
        values, places = np.unique(rows.values, return_index=True)
        for value in np.intersect1d(values, wanted).tolist():
            step = places[np.searchsorted(values, value)]
            record = int(np.searchsorted(rows.offsets, step, side="right")) - 1
            found.setdefault(value, first + record)
    return found


def records_where(column: Column, is_faulty: Any, limit: int) -> list[int]:
    """The first `limit` records that hold a step for which `is_faulty(values)` is true."""
    found: list[int] = []
    for first, rows in column.scan():
        steps = np.flatnonzero(is_faulty(rows.values))
        records = np.unique(np.searchsorted(rows.offsets, steps, side="right") - 1)
        found += (records + first).tolist()
        if len(found) >= limit:
            break
    return found[:limit]
