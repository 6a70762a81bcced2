"""From counted symbols to a vocabulary: the frequent ones of the train split, most frequent first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.data.records import invalid


def vocabulary(
    counts: NDArray[np.int64], names: Sequence[str], min_count: int, specials: tuple[str, ...]
) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """`specials` and the symbols that occur in training; and from a name's number to its id.

    `counts` says how often training has each of `names`. Names that are rarer than `min_count`, or
    written like a special symbol, get id 0. Raises InvalidDataset when nothing is left.
    """
    frequent = np.flatnonzero(counts >= min_count)
    order = sorted(frequent.tolist(), key=lambda i: (-counts[i], names[i]))
    kept = [i for i in order if names[i] not in specials]
    if not kept:
        raise invalid(
            "options",
            "min_count",
            f"nothing left after filtering: no symbol occurs {min_count} times in training",
        )
    ids = np.zeros(len(names), dtype=np.int32)
    ids[kept] = np.arange(len(specials), len(specials) + len(kept))
    return (*specials, *(names[i] for i in kept)), ids
