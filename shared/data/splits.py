"""Which record goes to train, val and test. Knows positions, labels, groups and windows, no values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.data.options import DatasetOptions
from shared.data.records import Faults, invalid
from shared.data.spool import Column, Indices, Places, in_parts
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
        name: _places(given, code, code + 1) for code, name in enumerate(SPLITS)
    }
    if len(assignment["train"]) == 0:
        raise invalid("file", "split", "no record is for training: give some the split train")
    return assignment


def shuffled(total: int, options: DatasetOptions, labels: Sequence[Column]) -> Assignment:
    """A seeded shuffle; where records have labels, train gets an example of each.

    With fewer records than splits and labels need, val or test may stay empty.
    """
    order = np.arange(total, dtype=np.int32)
    np.random.default_rng(options.seed).shuffle(order)
    firsts = _first_of_each(order, labels)
    _move_up(order, firsts)
    train, val, test = split_sizes(total, options.split)
    train = max(train, len(firsts))
    val = min(val, -(-(total - train) * val // max(val + test, 1)))
    return _cut(order, (0, train), (train, train + val), train + val)


def _move_up(order: Indices, places: Indices) -> None:
    """Bring what is at `places`, ascending, to the front; the others follow as they were."""
    first = order[places]
    end = len(order)
    for start, part in reversed([*in_parts(order)]):
        low, high = np.searchsorted(places, [start, start + len(part)])
        others = np.delete(part, places[low:high] - start)
        order[end - len(others) : end] = others
        end -= len(others)
    order[:end] = first


def _first_of_each(order: Indices, labels: Sequence[Column]) -> Indices:
    """Where records in `order` show a label for the first time, ascending."""
    found: set[int] = set()
    for column in labels:
        seen: set[int] = set()
        for start in range(0, len(order), _LOOKED_AT):
            part = order[start : start + _LOOKED_AT]
            rows = column.take(part)
            if seen.issuperset(np.unique(rows.values).tolist()):
                continue
            for index in range(len(part)):
                shown = set(rows.row(index).tolist())
                if not shown <= seen:
                    found.add(start + index)
                seen |= shown
    return np.array(sorted(found), dtype=np.int64)


def _places(items: Indices, low: int, high: int) -> Indices:
    """Where items from `low` up to, and without, `high` are: int32."""
    found = [
        (np.flatnonzero((part >= low) & (part < high)) + first).astype(np.int32)
        for first, part in in_parts(items)
    ]
    return np.concatenate(found)


def grouped(groups: Sequence[int], options: DatasetOptions, labels: Sequence[Column]) -> Assignment:
    """A seeded shuffle of whole groups, the shares of records as near as groups allow.

    Train gets groups with an example of each label. With fewer groups than splits and labels need,
    val or test may stay empty.
    """
    rank, sizes = _ranks(np.asarray(groups, dtype=np.int64), np.random.default_rng(options.seed))
    needed = _ranks_with_labels(rank, sizes, labels)
    is_needed = np.zeros(len(sizes), dtype=np.int8)
    is_needed[needed] = 1
    others = _places(is_needed, 0, 1)
    wanted = np.concatenate([needed, others], dtype=np.int32)
    ends = np.cumsum(sizes[wanted])
    cuts = _group_cuts(ends, split_sizes(len(rank), options.split), max(len(needed), 1))
    place = np.empty_like(wanted)
    place[wanted] = np.arange(len(wanted), dtype=np.int32)
    for _, part in in_parts(rank):
        part[:] = place[part]
    return {name: _places(rank, *cuts[i : i + 2]) for i, name in enumerate(SPLITS)}


def _ranks(groups: Indices, rng: np.random.Generator) -> tuple[Indices, NDArray[np.int64]]:
    """Of each record the place of its group in a shuffled order, int32; and the records of each place."""
    names = np.sort(groups)
    num = 0
    for _, part in in_parts(names):
        new = part[np.append(num == 0 or part[0] != names[num - 1], part[1:] != part[:-1])]
        names[num : num + len(new)] = new
        num += len(new)
    ranks = np.arange(num, dtype=np.int32)
    rng.shuffle(ranks)
    rank, sizes = np.empty(len(groups), dtype=np.int32), np.zeros(num, dtype=np.int64)
    for first, part in in_parts(groups):
        found = ranks[np.searchsorted(names[:num], part)]
        rank[first : first + len(part)] = found
        np.add.at(sizes, found, 1)
    return rank, sizes


def _ranks_with_labels(
    rank: Indices, sizes: NDArray[np.int64], labels: Sequence[Column]
) -> Indices:
    """The first places by which every label is shown, ascending."""
    if not labels:
        return np.empty(0, dtype=np.int64)
    order, ends = np.empty_like(rank), np.cumsum(sizes) - sizes  # where the next of a place goes
    for first, part in in_parts(rank):
        by_rank = np.argsort(part, kind="stable")
        places, starts, counts = np.unique(part[by_rank], return_index=True, return_counts=True)
        further = np.arange(len(part)) - np.repeat(starts, counts)
        order[np.repeat(ends[places], counts) + further] = by_rank + first
        ends[places] += counts
    return np.unique(rank[order[_first_of_each(order, labels)]])


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
    return _cut(
        np.arange(total, dtype=np.int32), (0, train), (val_start, val_start + val), test_start
    )


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
