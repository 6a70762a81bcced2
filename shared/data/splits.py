"""Which record goes to train, val and test. Knows positions, labels, groups and windows, no values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.data.options import DatasetOptions
from shared.data.records import Faults, invalid
from shared.data.spool import Column, Indices, Places
from shared.data.table import SPLITS, SplitName

Assignment = dict[SplitName, Indices]
Shares = tuple[float, float, float]
_LOOKED_AT = 4096  # records whose labels are looked at together


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


def by_name(splits: Sequence[int]) -> Assignment:
    """As the records say, by numbers of SPLITS; raises InvalidDataset when none is for training."""
    given = np.asarray(splits, dtype=np.int8)
    assignment: Assignment = {
        name: np.flatnonzero(given == code) for code, name in enumerate(SPLITS)
    }
    if len(assignment["train"]) == 0:
        raise invalid("file", "split", "no record is for training: give some the split train")
    return assignment


def shuffled(total: int, options: DatasetOptions, labels: Sequence[Column]) -> Assignment:
    """A seeded shuffle; where records have labels, train gets an example of each.

    With fewer records than splits and labels need, val or test may stay empty.
    """
    order = np.random.default_rng(options.seed).permutation(total).astype(np.int32)
    is_first = _first_of_each(order, labels)
    num_first = int(is_first.sum())
    train, val, test = split_sizes(total, options.split)
    train = max(train, num_first)
    val = min(val, -(-(total - train) * val // max(val + test, 1)))
    return _cut(
        np.concatenate([order[is_first], order[~is_first]]),
        (0, train),
        (train, train + val),
        train + val,
    )


def _first_of_each(order: Indices, labels: Sequence[Column]) -> NDArray[np.bool_]:
    """Which of the records in `order` show a label for the first time."""
    is_first = np.zeros(len(order), dtype=np.bool_)
    for column in labels:
        seen: set[int] = set()
        for start in range(0, len(order), _LOOKED_AT):
            part = order[start : start + _LOOKED_AT]
            rows = column.take(part)
            if seen.issuperset(np.unique(rows.values).tolist()):
                continue
            for index in range(len(part)):
                shown = set(rows.row(index).tolist())
                is_first[start + index] |= not shown <= seen
                seen |= shown
    return is_first


def grouped(groups: Sequence[int], options: DatasetOptions, labels: Sequence[Column]) -> Assignment:
    """A seeded shuffle of whole groups, the shares of records as near as groups allow.

    Train gets groups with an example of each label. With fewer groups than splits and labels need,
    val or test may stay empty.
    """
    _, group_of, sizes = np.unique(
        np.asarray(groups, dtype=np.int64), return_inverse=True, return_counts=True
    )
    rng = np.random.default_rng(options.seed)
    rank = rng.permutation(len(sizes))[group_of]  # of each record: where its group comes
    order = np.argsort(rank, kind="stable")
    needed = np.unique(rank[order[_first_of_each(order, labels)]])
    others = np.setdiff1d(np.arange(len(sizes)), needed)
    wanted = np.concatenate([needed, others])
    place = np.empty_like(wanted)
    place[wanted] = np.arange(len(wanted))
    final = place[rank]
    ends = np.cumsum(np.bincount(final))
    cuts = _group_cuts(ends, split_sizes(len(group_of), options.split), max(len(needed), 1))
    return {
        name: np.flatnonzero((final >= cuts[i]) & (final < cuts[i + 1]))
        for i, name in enumerate(SPLITS)
    }


def _group_cuts(ends: Indices, sizes: tuple[int, int, int], fewest: int) -> list[int]:
    """The first group of train, val and test, and their number; train has `fewest` at least.

    `ends` are the records up to and with each group.
    """
    num, (train, val, test) = len(ends), sizes
    after_train = max(fewest, min(_nearest(ends, train), num - (val > 0) - (test > 0)))
    if test == 0:
        return [0, after_train if val else num, num, num]
    after_val = max(_nearest(ends, train + val), after_train + 1) if val else after_train
    return [0, after_train, max(after_train, min(after_val, num - 1)), num]


def _nearest(ends: Indices, size: int) -> int:
    """How many groups hold about `size` records."""
    return int(np.argmin(np.abs(ends - size))) + 1


def check_groups(groups: Sequence[int], splits: Sequence[int], where: Places) -> None:
    """Raises InvalidDataset when records name one group in two splits."""
    ids, codes = np.asarray(groups, dtype=np.int64), np.asarray(splits, dtype=np.int8)
    _, first, group_of = np.unique(ids, return_index=True, return_inverse=True)
    faults = Faults()
    for index in np.flatnonzero(codes != codes[first][group_of]).tolist():
        home = where[int(first[group_of[index]])]
        faults.add(where[index], "group", f"in another split than {home}, of the same group")
    faults.raise_any()


def _cut(order: Indices, train: tuple[int, int], val: tuple[int, int], test: int) -> Assignment:
    return {"train": order[slice(*train)], "val": order[slice(*val)], "test": order[test:]}


def in_order(total: int, windows: Sequence[tuple[int, int]], options: DatasetOptions) -> Assignment:
    """Earliest to train, latest to test; windows that share a row with an earlier split are dropped.

    `windows` are the rows of the first two, when the records are windows. Raises InvalidDataset
    when too few remain for every split that was asked for.
    """
    gap = _overlapping_neighbours(windows)
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


def _overlapping_neighbours(windows: Sequence[tuple[int, int]]) -> int:
    """How many windows after a given one still share a row with it; 0 for plain records."""
    if len(windows) < 2:
        return 0
    (start, end), (next_start, _) = windows[:2]
    return -(-(end - start) // (next_start - start)) - 1


def codes_of(assignment: Assignment, total: int) -> NDArray[np.int8]:
    """The number of each record's split in SPLITS; -1 where it is in none."""
    codes = np.full(total, -1, dtype=np.int8)
    for code, name in enumerate(SPLITS):
        codes[assignment[name]] = code
    return codes


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
