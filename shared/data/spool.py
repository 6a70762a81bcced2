"""Sequences put down one by one and read back in any order, on disk once they are many; knows no meaning."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from tempfile import SpooledTemporaryFile
from typing import Any, Literal
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


class Lengths:
    """How many steps each of N sequences has, in a byte where that is enough, and where each begins."""

    EVERY = 16  # sequences between two whose beginning is kept

    def __init__(self) -> None:
        self._num = self._total = 0
        self._same = 0  # steps of the first sequence, and of every one as long as `_each` is None
        self._each: array[int] | None = None
        self._marks = array("q")

    def __len__(self) -> int:
        return self._num

    @property
    def total(self) -> int:
        return self._total

    @property
    def first(self) -> int:
        return self._same

    @property
    def are_equal(self) -> bool:
        return self._each is None

    def append(self, length: int) -> None:
        if self._num == 0:
            self._same = length
        if self._each is None and length != self._same:
            self._tell_apart()
        if self._each is not None:
            self._note(self._each, length)
        self._num += 1
        self._total += length

    def _tell_apart(self) -> None:
        self._each = array(_code_for(self._same), [self._same]) * self._num
        step = self.EVERY * self._same
        self._marks = array(
            "q", range(0, self._total, step) if step else [0] * -(-self._num // self.EVERY)
        )

    def _note(self, each: array[int], length: int) -> None:
        if self._num % self.EVERY == 0:
            self._marks.append(self._total)
        try:
            each.append(length)
        except OverflowError:
            self._each = array(_code_for(length), each)
            self._each.append(length)

    def of(self, indices: Indices) -> Indices:
        """Steps of the sequences at `indices`, int64."""
        if self._each is None:
            return np.full(len(indices), self._same, dtype=np.int64)
        return self._known[indices].astype(np.int64)

    def starts(self, indices: Indices) -> Indices:
        """Steps of all sequences before each of those at `indices`, int64."""
        if self._each is None:
            return indices.astype(np.int64) * self._same
        marks, places = np.divmod(indices.astype(np.int64), self.EVERY)
        starts: Indices = np.frombuffer(self._marks, dtype=np.int64)[marks]
        for place in range(self.EVERY - 1):  # those between the mark and the sequence
            is_before = place < places
            starts[is_before] += self._known[marks[is_before] * self.EVERY + place]
        return starts

    @property
    def _known(self) -> Indices:
        assert self._each is not None
        return np.frombuffer(self._each, dtype=self._each.typecode)

    def parts(self) -> Iterator[tuple[int, Indices]]:
        """All in order, some at a time, each time with the number of the first."""
        for first in range(0, self._num, LOOKED_AT):
            yield first, self.of(np.arange(first, min(first + LOOKED_AT, self._num)))


def differing(one: Lengths, other: Lengths) -> Iterator[tuple[int, int, int]]:
    """The sequences that are not as long in both, and how long they are in each."""
    for (first, part), (_, counterpart) in zip(one.parts(), other.parts(), strict=True):
        for index in np.flatnonzero(part != counterpart).tolist():
            yield first + index, int(part[index]), int(counterpart[index])


def _code_for(length: int) -> Literal["B", "H", "Q"]:
    """The narrowest type of array that holds a length."""
    return "B" if length < 2**8 else "H" if length < 2**16 else "Q"


class Spool:
    """N sequences of one dtype and one shape of a step; all are put down before the first is read."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115
        finalize(self, self._file.close)
        self.lengths = Lengths()
        self._dtype: np.dtype[Any] = np.dtype(np.int32)
        self._step: tuple[int, ...] = ()

    def append(self, row: Array) -> bytes:
        """Put down [T] or [T, F]; returns its bytes. Raises InvalidDataset past LARGEST_BYTES."""
        if len(self) == 0:
            self._dtype, self._step = row.dtype, row.shape[1:]
        assert (row.dtype, row.shape[1:]) == (self._dtype, self._step)
        self.lengths.append(len(row))
        if self.num_steps * self._step_bytes > LARGEST_BYTES:
            raise invalid("file", None, f"more than {LARGEST_BYTES >> 30} GiB of values: send less")
        data = row.tobytes()
        self._file.write(data)
        return data

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def num_steps(self) -> int:
        return self.lengths.total

    @property
    def width(self) -> int:
        """Numbers in a step."""
        return math.prod(self._step)

    @property
    def _step_bytes(self) -> int:
        return self._dtype.itemsize * self.width

    def steps(self, start: int, end: int) -> Array:
        """The steps [start, end) of all sequences laid end to end."""
        self._file.seek(start * self._step_bytes)
        data = self._file.read((end - start) * self._step_bytes)
        return np.frombuffer(data, self._dtype).reshape(-1, *self._step)

    def take(self, indices: Indices) -> Ragged:
        """The sequences at `indices`, in that order; none is fine."""
        starts, lengths = self.lengths.starts(indices), self.lengths.of(indices)
        offsets = offsets_of(lengths)
        if len(indices) == 0:
            return Ragged(self.steps(0, 0), offsets)
        if (starts[1:] == starts[:-1] + lengths[:-1]).all():
            start = int(starts[0])
            return Ragged(self.steps(start, start + int(offsets[-1])), offsets)
        if self.num_steps * self._step_bytes <= IN_MEMORY_BYTES:
            shifts = np.repeat(starts - offsets[:-1], lengths)
            return Ragged(self.steps(0, self.num_steps)[np.arange(offsets[-1]) + shifts], offsets)
        rows = [
            self.steps(s, s + n) for s, n in zip(starts.tolist(), lengths.tolist(), strict=True)
        ]
        return Ragged(np.concatenate(rows), offsets)

    def scan(self) -> Iterator[tuple[int, Ragged]]:
        """All sequences in order, some at a time, each time with the number of the first."""
        for first, last in cut((part * self.width for _, part in self.lengths.parts()), CHUNK):
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


def in_parts(items: Indices) -> Iterator[tuple[int, Indices]]:
    """Views of some at a time, each with the number of its first."""
    for first in range(0, len(items), LOOKED_AT):
        yield first, items[first : first + LOOKED_AT]


def cut(parts: Iterable[Indices], budget: int) -> Iterator[tuple[int, int]]:
    """Runs [first, last) of at most LOOKED_AT items that together stay within `budget`; or of one.

    `parts` are the sizes of all items, some at a time.
    """
    first, sizes = 0, np.empty(0, dtype=np.int64)
    for part in chain(parts, (None,)):
        sizes = sizes if part is None else np.concatenate([sizes, part])
        while len(sizes) >= (1 if part is None else LOOKED_AT):
            totals = np.cumsum(sizes[:LOOKED_AT], dtype=np.int64)
            num = max(int(np.searchsorted(totals, budget, side="right")), 1)
            yield first, first + num
            first, sizes = first + num, sizes[num:]


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
