"""Means, intervals and paired tests over seeds, by numpy and scipy. Knows no job and no metric.

The arm with the best mean is chosen by the very numbers that it is then tested with: of several
equal arms, the luckiest. Holm's correction is therefore over all pairs of arms, not only over those
with the best in them; only so the chance of any false "is better" among equal arms stays below
`ALPHA`. With two arms both are the same.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

ALPHA = 0.05
SAME = 1e-9  # spread, as a share of the numbers, that rounding alone may cause
ValueOf = Mapping[int, float]
"""What a seed reached; all values are finite."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Values of one arm, as if drawn from a normal distribution."""

    num: int
    mean: float
    std: float | None
    """With n - 1; None for a single value."""
    ci95: tuple[float, float] | None
    """Of the mean, by Student's t; None for a single value."""


@dataclass(frozen=True, slots=True)
class PairedTest:
    """One arm against another, over the seeds that both have."""

    num_pairs: int
    difference: float | None
    """Mean of first - second; None without a pair."""
    p_uncorrected: float | None
    """Two-sided, of Student's paired t test; None where it cannot be made."""
    effect_size: float | None
    """Hedges' g of the differences: their mean by their standard deviation, times J; from 3 pairs on."""
    untested_because: str | None = None
    p_value: float | None = None
    """Corrected for all pairs of arms, by Holm."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Arms by their means, best first, each against the best."""

    order: list[int]
    """Places of the arms with values."""
    tests: dict[int, PairedTest]
    """By place, of all of these but the best."""


def summary_of(values: Sequence[float]) -> Summary | None:
    """None of no values."""
    if not values:
        return None
    sample = np.asarray(values, np.float64)
    mean = float(sample.mean())
    if len(sample) == 1:
        return Summary(1, mean, None, None)
    std = float(sample.std(ddof=1))
    half = half_width(std, len(sample))
    return Summary(len(sample), mean, std, (mean - half, mean + half))


def half_width(std: float, num: int) -> float:
    """Half of the 95 % interval of a mean of `num` > 1 values."""
    from scipy.special import stdtrit

    return float(stdtrit(num - 1, 1 - ALPHA / 2)) * std / math.sqrt(num)


def compare(arms: Sequence[ValueOf], *, higher_is_better: bool) -> Comparison:
    """Order arms by their means and test each against the best; equal means keep their order."""
    sign = 1.0 if higher_is_better else -1.0
    known = [place for place, values in enumerate(arms) if values]
    order = sorted(known, key=lambda place: -sign * float(np.mean(list(arms[place].values()))))
    pairs = list(combinations(order, 2))
    tests = [paired_test(arms[worse], arms[better], sign) for better, worse in pairs]
    corrected = holm([test.p_uncorrected for test in tests])
    return Comparison(
        order,
        {
            worse: replace(test, p_value=p_value)
            for (better, worse), test, p_value in zip(pairs, tests, corrected, strict=True)
            if better == order[0]
        },
    )


def paired_test(first: ValueOf, second: ValueOf, sign: float = 1.0) -> PairedTest:
    """Student's paired t test over common seeds; the effect size has the sign of `sign` times first - second.

    Without spread among the differences there is no t: no difference at all gives p = 1, the same
    difference for every seed cannot be tested.
    """
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        return PairedTest(0, None, None, None, "no common seed")
    pairs = np.array([(first[seed], second[seed]) for seed in seeds], np.float64)
    differences = pairs[:, 0] - pairs[:, 1]
    mean = float(differences.mean())
    if len(seeds) == 1:
        return PairedTest(1, mean, None, None, "only one common seed")
    std = float(differences.std(ddof=1))
    if std <= SAME * float(np.abs(pairs).max()):
        return _without_spread(differences, float(np.abs(pairs).max()))
    unbiased = hedges_j(len(seeds) - 1)
    effect = None if unbiased is None else sign * mean / std * unbiased
    return PairedTest(len(seeds), mean, p_of_t(differences, std), effect)


def _without_spread(differences: NDArray[np.float64], size: float) -> PairedTest:
    mean = float(differences.mean())
    if abs(mean) <= SAME * size:
        return PairedTest(len(differences), mean, 1.0, 0.0)
    return PairedTest(len(differences), mean, None, None, "the same difference for every seed")


def p_of_t(differences: NDArray[np.float64], std: float) -> float:
    """Two-sided p of the mean's being zero; what `scipy.stats.ttest_rel` gives, whose import takes long."""
    from scipy.special import stdtr

    num = len(differences)
    t = float(differences.mean()) / (std / math.sqrt(num))
    return float(2 * stdtr(num - 1, -abs(t)))


def hedges_j(degrees: int) -> float | None:
    """What takes the bias of few values from a standardised mean (Hedges 1981, equation 6e).

    None for one degree of freedom, with which the mean has no expectation that could be mended.
    """
    if degrees < 2:
        return None
    log_ratio = math.lgamma(degrees / 2) - math.lgamma((degrees - 1) / 2)
    return math.exp(log_ratio) / math.sqrt(degrees / 2)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Each p corrected for all that are there (S. Holm 1979); None stays and counts for nothing."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        corrected[place] = largest
    return corrected
