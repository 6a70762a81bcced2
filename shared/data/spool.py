"""Sequences put down one by one and read back in any order, on disk once they are many; knows no meaning."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import Any
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from shared.data.ragged import Array, Ragged, offsets_of
from shared.data.records import invalid

IN_MEMORY_BYTES = 8 * 2**20  # what a spool holds before it goes to disk
LARGEST_BYTES = 4 * 2**30  # of one spool: a few bytes of a packed file can claim terabytes
CHUNK = 2**19  # numbers or symbols that are looked at together

LOOKED_AT = 2**16  # sequences that are looked at together, at the most

Indices = NDArray[np.integer]


class Spool:
    """N sequences of one dtype and one shape of a step; all are put down before the first is read."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115
        finalize(self, self._file.close)
        self._num = self._total = 0  # sequences, steps
        self._length = 0  # of every sequence, as long as `_ends` is None
        self._ends: array[int] | None = None
        self._dtype: np.dtype[Any] = np.dtype(np.int32)
        self._step: tuple[int, ...] = ()

    def append(self, row: Array) -> bytes:
        """Put down [T] or [T, F]; returns its bytes. Raises InvalidDataset past LARGEST_BYTES."""
        if self._num == 0:
            self._dtype, self._step, self._length = row.dtype, row.shape[1:], len(row)
        assert (row.dtype, row.shape[1:]) == (self._dtype, self._step)
        if self._ends is None and len(row) != self._length:
            self._ends = array("q", (np.arange(self._num + 1) * self._length).tobytes())
        self._num += 1
        self._total += len(row)
        if self._ends is not None:
            self._ends.append(self._total)
        if self._total * self._step_bytes > LARGEST_BYTES:
            raise invalid("file", None, f"more than {LARGEST_BYTES >> 30} GiB of values: send less")
        data = row.tobytes()
        self._file.write(data)
        return data

    def __len__(self) -> int:
        return self._num

    @property
    def num_steps(self) -> int:
        return self._total

    @property
    def width(self) -> int:
        """Numbers in a step."""
        return math.prod(self._step)

    @property
    def _step_bytes(self) -> int:
        return self._dtype.itemsize * self.width

    @property
    def lengths(self) -> Indices:
        """Steps of each sequence, int32[N]."""
        if self._ends is None:
            return np.full(self._num, self._length, dtype=np.int32)
        ends: Indices = np.frombuffer(self._ends, dtype=np.int64)
        lengths = np.empty(self._num, dtype=np.int32)
        np.subtract(ends[1:], ends[:-1], out=lengths, casting="same_kind")
        return lengths

    def steps(self, start: int, end: int) -> Array:
        """The steps [start, end) of all sequences laid end to end."""
        self._file.seek(start * self._step_bytes)
        data = self._file.read((end - start) * self._step_bytes)
        return np.frombuffer(data, self._dtype).reshape(-1, *self._step)

    def take(self, indices: Indices) -> Ragged:
        """The sequences at `indices`, in that order; none is fine."""
        starts, lengths = self._bounds(indices)
        offsets = offsets_of(lengths)
        if len(indices) == 0:
            return Ragged(self.steps(0, 0), offsets)
        if (starts[1:] == starts[:-1] + lengths[:-1]).all():
            start = int(starts[0])
            return Ragged(self.steps(start, start + int(offsets[-1])), offsets)
        if self._total * self._step_bytes <= IN_MEMORY_BYTES:
            shifts = np.repeat(starts - offsets[:-1], lengths)
            return Ragged(self.steps(0, self._total)[np.arange(offsets[-1]) + shifts], offsets)
        rows = [
            self.steps(s, s + n) for s, n in zip(starts.tolist(), lengths.tolist(), strict=True)
        ]
        return Ragged(np.concatenate(rows), offsets)

    def _bounds(self, indices: Indices) -> tuple[Indices, Indices]:
        if self._ends is None:
            return indices.astype(np.int64) * self._length, np.full(
                len(indices), self._length, dtype=np.int64
            )
        ends = np.frombuffer(self._ends, dtype=np.int64)
        starts = ends[indices]
        return starts, ends[indices + 1] - starts

    def scan(self) -> Iterator[tuple[int, Ragged]]:
        """All sequences in order, some at a time, each time with the number of the first."""
        for first, last in cut(self.lengths * self.width, CHUNK):
            yield first, self.take(np.arange(first, last, dtype=np.int64))


@dataclass(frozen=True)
class Column:
    """The sequences of a spool, read in other terms."""

    spool: Spool
    view: Callable[[Ragged], Ragged]

    @classmethod
    def plain(cls, spool: Spool) -> Column:
        return cls(spool, lambda rows: rows)

    def __len__(self) -> int:
        return len(self.spool)

    def mapped(self, change: Callable[[Array], Array]) -> Column:
        """The same sequences, each step changed."""
        before = self.view

        def view(rows: Ragged) -> Ragged:
            shown = before(rows)
            return Ragged(change(shown.values), shown.offsets)

        return Column(self.spool, view)

    def take(self, indices: Indices) -> Ragged:
        return self.view(self.spool.take(indices))

    def scan(self) -> Iterator[tuple[int, Ragged]]:
        for first, rows in self.spool.scan():
            yield first, self.view(rows)


def cut(sizes: Indices, budget: int) -> Iterator[tuple[int, int]]:
    """Runs [first, last) of at most LOOKED_AT items that together stay within `budget`; or of one."""
    first = 0
    while first < len(sizes):
        totals = np.cumsum(sizes[first : first + LOOKED_AT], dtype=np.int64)
        last = first + max(int(np.searchsorted(totals, budget, side="right")), 1)
        yield first, last
        first = last


class Places:
    """Where each record stands in its file; written down aside, for few are ever asked for."""

    EVERY = 256  # places between two that are found without a search

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115
        finalize(self, self._file.close)
        self._num = self._position = 0
        self._marks = array("q")

    def append(self, where: str) -> None:
        if self._num % self.EVERY == 0:
            self._marks.append(self._position)
        self._num += 1
        self._position += self._file.write(where.encode() + b"\n")

    def __len__(self) -> int:
        return self._num

    def __getitem__(self, index: int) -> str:
        mark, further = divmod(int(index), self.EVERY)
        self._file.seek(self._marks[mark])
        for _ in range(further):
            self._file.readline()
        return self._file.readline().decode().rstrip("\n")
