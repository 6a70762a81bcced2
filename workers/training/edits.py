"""How far a written sequence is from the true one (Levenshtein 1966)."""

from collections.abc import Sequence

import numpy as np


def num_edits(guess: Sequence[int], truth: Sequence[int]) -> int:
    """Fewest symbols to insert, delete or replace that turn one sequence into the other."""
    wanted = np.asarray(truth)
    place = np.arange(len(wanted) + 1)
    row = place.copy()  # edits from nothing to each beginning of the truth
    for symbol in guess:
        above = row + 1
        above[1:] = np.minimum(above[1:], row[:-1] + (wanted != symbol))
        # inserting from the left costs one a symbol: a running minimum once places are taken off
        row = np.minimum.accumulate(above - place) + place
    return int(row[-1])
