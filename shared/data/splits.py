"""Which record goes to train, val and test. Knows positions, labels and windows, no values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.data.options import DatasetOptions
from shared.data.ragged import Ragged
from shared.data.records import invalid
from shared.data.table import SPLITS, SplitName

Indices = NDArray[np.int64]
Assignment = dict[SplitName, Indices]
Shares = tuple[float, float, float]


def split_sizes(total: int, shares: Shares) -> tuple[int, int, int]:
    """How many of `total` go to train, val and test.

    Val and test get at least one each when their share is above 0 and there are three to give;
    train always keeps one.
    """
    floor = 1 if total >= 3 else 0
    val, test = (max(round(total * share), floor) if share > 0 else 0 for share in shares[1:])
    while val + test >= total > 0:
        val, test = (val - 1, test) if val > test else (val, test - 1)
    return total - val - test, val, test


def by_name(names: Sequence[str | None]) -> Assignment:
    """As the records say; raises InvalidDataset when none is for training."""
    given = np.array(names, dtype=object)
    assignment = {name: np.flatnonzero(given == name) for name in SPLITS}
    if len(assignment["train"]) == 0:
        raise invalid("file", "split", "no record is for training: give some the split train")
    return assignment


def shuffled(total: int, options: DatasetOptions, labels: Sequence[Ragged]) -> Assignment:
    """A seeded shuffle; where records have labels, train gets an example of each.

    With fewer records than splits and labels need, val or test may stay empty.
    """
    order = np.random.default_rng(options.seed).permutation(total)
    first, rest = _first_of_each(order.tolist(), labels)
    train, val, test = split_sizes(total, options.split)
    train = max(train, len(first))
    val = min(val, -(-(total - train) * val // max(val + test, 1)))
    return _cut(
        np.array(first + rest, dtype=np.int64), (0, train), (train, train + val), train + val
    )


def _first_of_each(order: Sequence[int], labels: Sequence[Ragged]) -> tuple[list[int], list[int]]:
    """The records that show a label for the first time, then the others."""
    seen: list[set[int]] = [set() for _ in labels]
    first: list[int] = []
    rest: list[int] = []
    for index in order:
        shown = [set(column.row(index).tolist()) for column in labels]
        is_new = any(new - old for new, old in zip(shown, seen, strict=True))
        (first if is_new else rest).append(index)
        seen = [old | new for old, new in zip(seen, shown, strict=True)]
    return first, rest


def _cut(order: Indices, train: tuple[int, int], val: tuple[int, int], test: int) -> Assignment:
    return {"train": order[slice(*train)], "val": order[slice(*val)], "test": order[test:]}


def in_order(rows: Sequence[tuple[int, int] | None], options: DatasetOptions) -> Assignment:
    """Earliest to train, latest to test; windows that share a row with an earlier split are dropped.

    Raises InvalidDataset when too few windows remain for every split that was asked for.
    """
    total, gap = len(rows), _overlapping_neighbours(rows)
    num_cuts = sum(share > 0 for share in options.split[1:])
    usable = total - gap * num_cuts
    if gap and usable < num_cuts + 1:
        raise invalid(
            "file",
            "window",
            f"{total} windows are too few for {num_cuts + 1} splits that share no row: choose a"
            " smaller window, or the split [1, 0, 0]",
        )
    train, val, test = split_sizes(usable, options.split)
    val_start = train + gap if val else train
    test_start = val_start + val + gap if test else total
    return _cut(np.arange(total), (0, train), (val_start, val_start + val), test_start)


def _overlapping_neighbours(rows: Sequence[tuple[int, int] | None]) -> int:
    """How many windows after a given one still share a row with it; 0 for plain records."""
    if len(rows) < 2 or rows[0] is None or rows[1] is None:
        return 0
    (start, end), (next_start, _) = rows[0], rows[1]
    return -(-(end - start) // (next_start - start)) - 1


def stream_cuts(total: int, shares: Shares) -> tuple[int, int, int, int]:
    """Where three consecutive parts of one long sequence begin and end.

    Raises InvalidDataset when a part would be too short to predict a step in it.
    """
    sizes = split_sizes(total, shares)
    if any(size < 2 for size, share in zip(sizes, shares, strict=True) if share > 0):
        raise invalid(
            "file",
            "input",
            f"only {total} symbols: each split needs 2, so give more text or the split [1, 0, 0]",
        )
    return 0, sizes[0], sizes[0] + sizes[1], total
