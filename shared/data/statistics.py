"""What a dataset is like, in numbers that a page can draw, and what in it should worry a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.data.counting import Codes, Counts, Sizes
from shared.data.encoding import ClassTarget, Encoding, TagsTarget, TextTarget
from shared.data.parts import CategoryInput, NumericInput, TokenInput, VectorInput
from shared.data.scaling import Moments
from shared.data.spool import Spool, in_parts
from shared.data.table import SPLITS

MOST_FREQUENT = 50  # symbols and labels that are listed
MOST_FEATURES = 100
NUM_BINS = 20
FEW_ITEMS = 10  # a label with fewer is small, and so is
SMALL_SHARE = 0.1  # one with less than this share of what each would have if all were alike
MANY_UNKNOWN = 0.01  # share of a split's symbols that training does not show
MOST_WARNINGS = 5  # of one kind
MOST_KEYS = 2**20  # prints of records that are sorted together


@dataclass(frozen=True)
class Observed:
    """What was counted while a dataset was built; its statistics come from here alone."""

    encoding: Encoding
    lengths: Sizes  # steps of inputs, or of texts made of inputs without steps
    input_counts: Counts | None = None  # int64[3, K] by id
    target_counts: Counts | None = None
    input_moments: Moments | None = None
    target_moments: Moments | None = None
    prints: Spool | None = None  # uint64 of each record, the two lowest bits 0
    codes: Codes | None = None  # of each record: its split, -1 for none
    num_too_long: int = 0

    @property
    def class_balance(self) -> dict[str, int]:
        """How often each label occurs in all splits."""
        target = self.encoding.target
        if not isinstance(target, ClassTarget | TagsTarget) or self.target_counts is None:
            return {}
        return dict(zip(target.labels, self.target_counts.sum(axis=0).tolist(), strict=True))


def describe(observed: Observed) -> dict[str, Any]:
    """Everything a page draws; what does not apply is null."""
    part, target = observed.encoding.input, observed.encoding.target
    read = part.symbols if isinstance(part, TokenInput | CategoryInput) else None
    written = target.symbols if isinstance(target, TextTarget) else None
    return {
        "lengths": _histogram(observed.lengths),
        "vocabulary": _frequent(read, observed.input_counts),
        "target_vocabulary": _frequent(written, observed.target_counts),
        "class_balance": _balance(observed),
        "features": _features(observed.input_moments),
        "target_features": _features(observed.target_moments),
        "missing": _missing(observed),
        "duplicates": _duplicates(observed),
    }


def _histogram(sizes: Sizes) -> dict[str, list[int]]:
    """Counts of lengths from each edge up to, and without, the next."""
    low, high = int(sizes.lengths[0]), int(sizes.lengths[-1]) + 1
    edges = np.unique(np.linspace(low, high, min(NUM_BINS, high - low) + 1).astype(np.int64))
    counts = np.histogram(sizes.lengths, edges, weights=sizes.counts)[0]
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def _frequent(symbols: tuple[str, ...] | None, counts: Counts | None) -> dict[str, Any] | None:
    """The symbols that occur most often, over all splits; `<unk>` is counted apart."""
    if symbols is None or counts is None:
        return None
    totals = counts.sum(axis=0)
    order = [i for i in np.argsort(-totals, kind="stable").tolist() if i and totals[i]]
    shown = [{"symbol": symbols[i], "count": int(totals[i])} for i in order[:MOST_FREQUENT]]
    unknown = {name: int(counts[code, 0]) for code, name in enumerate(SPLITS)}
    return {"size": len(symbols), "most_frequent": shown, "unknown": unknown}


def _balance(observed: Observed) -> dict[str, Any] | None:
    balance = observed.class_balance
    if not balance:
        return None
    order = sorted(balance, key=lambda label: -balance[label])
    shown = [{"label": label, "count": balance[label]} for label in order[:MOST_FREQUENT]]
    return {"num_classes": len(balance), "most_frequent": shown}


def _features(found: Moments | None) -> list[dict[str, float]] | None:
    """Of the train split, in original units; the first MOST_FEATURES."""
    if found is None:
        return None
    names = ("mean", "std", "min", "max")
    columns = (found.mean, found.std, found.low, found.high)
    rows = zip(*(column.tolist()[:MOST_FEATURES] for column in columns), strict=True)
    return [dict(zip(names, map(float, row), strict=True)) for row in rows]


def _missing(observed: Observed) -> dict[str, int]:
    """Records that were sent and are in no split."""
    between = 0 if observed.codes is None else int(_totals(observed.codes)[0])
    return {"longer_than_max_length": observed.num_too_long, "between_splits": between}


def _duplicates(observed: Observed) -> dict[str, dict[str, int]] | None:
    """Records whose input and target are those of another one.

    `within`: how many of a split repeat an earlier one there; `across`: how many different ones two
    splits share. None for a stream, which has no records.
    """
    if observed.prints is None or observed.codes is None:
        return None
    different, shared = np.zeros(3, dtype=np.int64), np.zeros(8, dtype=np.int64)
    for keys in _keys(observed.prints, observed.codes):
        found = np.unique(keys)
        code = (found & np.uint64(3)).astype(np.int64)
        prints = found >> np.uint64(2)
        starts = np.flatnonzero(np.append(True, prints[1:] != prints[:-1]))
        different += np.bincount(code, minlength=3)
        shared += np.bincount(np.bitwise_or.reduceat(1 << code, starts), minlength=8)
    totals = _totals(observed.codes)[1:]
    masks = np.arange(8)
    return {
        "within": dict(zip(SPLITS, (totals - different).tolist(), strict=True)),
        "across": {
            f"{SPLITS[a]}_{SPLITS[b]}": int(shared[(masks >> a) & (masks >> b) & 1 == 1].sum())
            for a, b in combinations(range(3), 2)
        },
    }


def _totals(codes: Codes) -> NDArray[np.int64]:
    """How many records have each of the codes from -1 to 2."""
    return sum(
        (np.bincount(part + 1, minlength=4) for _, part in in_parts(codes)),
        start=np.zeros(4, dtype=np.int64),
    )


def _keys(prints: Spool, codes: Codes) -> Iterator[NDArray[np.uint64]]:
    """The prints of records that are in a split, its number in their lowest bits.

    In parts of about MOST_KEYS: all keys of one print are in the same.
    """
    num_parts = -(-len(codes) // MOST_KEYS)
    for part in range(num_parts):
        keys = []
        for first, rows in prints.scan():
            code = codes[first : first + len(rows)]
            is_in = (code >= 0) & ((rows.values >> np.uint64(2)) % np.uint64(num_parts) == part)
            keys.append(rows.values[is_in] | code[is_in].astype(np.uint64))
        if any(map(len, keys)):
            yield np.concatenate(keys)


def warnings_of(
    observed: Observed, statistics: dict[str, Any], splits: dict[str, int]
) -> list[str]:
    """What should worry a person, a short sentence each."""
    return [
        *_leaks(statistics["duplicates"]),
        *_small_classes(observed.class_balance),
        *_unknown(observed),
        *_constant(observed),
        *(f"no item is in {name}" for name, num in splits.items() if num == 0),
    ]


def _leaks(duplicates: dict[str, dict[str, int]] | None) -> Iterator[str]:
    for pair, num in (duplicates or {"across": {}})["across"].items():
        if num:
            yield f"{_items(num)} in {pair.replace('_', ' and ')}"


def _items(num: int) -> str:
    return "1 item is" if num == 1 else f"{num:,} items are"


def _small_classes(balance: dict[str, int]) -> Iterator[str]:
    total = sum(balance.values())
    least = max(FEW_ITEMS, SMALL_SHARE * total / max(len(balance), 1))
    small = sorted((n for n in balance if balance[n] < least), key=lambda name: balance[name])
    for name in small[:MOST_WARNINGS]:
        num = balance[name]
        items = "1 item" if num == 1 else f"{num:,} items"
        yield f"class {name} has {items} ({100 * num / total:.1f} %)"
    if len(small) > MOST_WARNINGS:
        yield f"{len(small) - MOST_WARNINGS:,} more classes are as small"


def _unknown(observed: Observed) -> Iterator[str]:
    if observed.input_counts is None:
        return
    for name, counts in zip(SPLITS[1:], observed.input_counts[1:], strict=True):
        share = counts[0] / max(counts.sum(), 1)
        if share > MANY_UNKNOWN:
            yield f"{100 * share:.1f} % of the symbols in {name} are not known from train"


def _constant(observed: Observed) -> Iterator[str]:
    if observed.input_moments is None or not isinstance(
        observed.encoding.input, NumericInput | VectorInput
    ):
        return
    found = np.flatnonzero(observed.input_moments.is_constant).tolist()
    for index in found[:MOST_WARNINGS]:
        yield f"feature {index + 1} of the input never changes in train"
    if len(found) > MOST_WARNINGS:
        yield f"{len(found) - MOST_WARNINGS:,} more features never change in train"
