"""Intervals, tests and corrections, held to scipy, to their definition, and to chance itself."""

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from shared.statistics import (
    ALPHA,
    compare,
    half_width,
    hedges_j,
    holm,
    paired_test,
    summary_of,
)


def by_seed(values: NDArray[np.float64] | list[float]) -> dict[int, float]:
    return dict(enumerate(map(float, values)))


@pytest.mark.parametrize("num", [2, 3, 12])
def test_a_summary_has_the_mean_deviation_and_t_interval_of_scipy(num: int) -> None:
    values = np.random.default_rng(num).normal(5, 2, num)

    found = summary_of(list(values))

    assert found is not None
    assert found.ci95 is not None
    assert found.mean == pytest.approx(np.mean(values))
    assert found.std == pytest.approx(stats.tstd(values))
    expected = stats.t.interval(0.95, num - 1, np.mean(values), stats.sem(values))
    assert found.ci95 == pytest.approx(expected)


def test_of_one_value_there_is_a_mean_and_nothing_more_and_of_none_nothing() -> None:
    one = summary_of([0.5])

    assert one is not None
    assert (one.num, one.mean, one.std, one.ci95) == (1, 0.5, None, None)
    assert summary_of([]) is None


@pytest.mark.parametrize(("seed", "num"), [(1, 3), (2, 5), (3, 12)])
def test_a_paired_test_is_that_of_scipy_with_hedges_g_of_the_differences(
    seed: int, num: int
) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(1, 2, num), rng.normal(0, 1, num)

    found = paired_test(by_seed(first), by_seed(second))

    expected = stats.ttest_rel(first, second)
    assert found.p_uncorrected == pytest.approx(expected.pvalue, rel=1e-9)
    cohen = np.mean(first - second) / np.std(first - second, ddof=1)
    assert found.effect_size == pytest.approx(cohen * _j(num - 1), rel=1e-6)
    assert found.difference == pytest.approx(np.mean(first - second))


def _j(degrees: int) -> float:
    """1 / E[1 / s] of a standard deviation with so many degrees, by the chi distribution."""
    return 1 / (stats.chi(degrees).expect(lambda s: 1 / s) * math.sqrt(degrees))


@pytest.mark.parametrize("degrees", [2, 3, 5, 30])
def test_the_correction_of_hedges_is_what_makes_the_mean_unbiased(degrees: int) -> None:
    assert hedges_j(degrees) == pytest.approx(_j(degrees), rel=1e-6)


def test_with_two_pairs_there_is_a_p_and_no_effect_size() -> None:
    found = paired_test({1: 1.0, 2: 2.0}, {1: 0.5, 2: 1.0})

    assert found.p_uncorrected == pytest.approx(stats.ttest_rel([1.0, 2.0], [0.5, 1.0]).pvalue)
    assert found.effect_size is None


def test_only_seeds_that_both_arms_have_are_paired() -> None:
    found = paired_test({1: 1.0, 2: 2.0, 3: 9.0}, {2: 1.0, 3: 5.0, 4: 100.0})

    assert (found.num_pairs, found.difference) == (2, 2.5)


@pytest.mark.parametrize(
    ("first", "second", "p", "reason"),
    [
        ({1: 1.0}, {2: 1.0}, None, "no common seed"),
        ({1: 1.0}, {1: 0.5}, None, "only one common seed"),
        ({1: 0.5, 2: 0.7}, {1: 0.5, 2: 0.7}, 1.0, None),
        ({1: 0.3, 2: 0.4}, {1: 0.1, 2: 0.2}, None, "the same difference for every seed"),
    ],
)
def test_what_cannot_be_tested_has_no_p_and_says_why(
    first: dict[int, float], second: dict[int, float], p: float | None, reason: str | None
) -> None:
    found = paired_test(first, second)

    assert (found.p_uncorrected, found.untested_because) == (p, reason)


def by_definition(p_values: list[float]) -> list[float]:
    """Holm's correction as a closed test (Marcus, Peritz and Gabriel 1976): a hypothesis falls when
    every intersection that it belongs to does, each by Bonferroni."""
    places = range(len(p_values))
    sets = [some for size in places for some in combinations(places, size + 1)]
    return [
        max(min(1.0, len(some) * min(p_values[i] for i in some)) for some in sets if place in some)
        for place in places
    ]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
@settings(max_examples=40, deadline=None)
def test_the_correction_is_what_its_definition_says(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(by_definition(p_values), abs=1e-12)


def test_what_was_not_tested_counts_for_nothing_in_the_correction() -> None:
    assert holm([0.01, None, 0.04]) == [0.02, None, 0.04]


@pytest.mark.parametrize(("higher_is_better", "order"), [(True, [1, 2, 0]), (False, [0, 2, 1])])
def test_arms_are_ordered_by_the_direction_of_the_metric(
    higher_is_better: bool, order: list[int]
) -> None:
    arms = [by_seed([1, 2, 4]), by_seed([7, 8, 8.5]), by_seed([4, 5, 6.5]), {}]

    found = compare(arms, higher_is_better=higher_is_better)

    assert found.order == order
    assert set(found.tests) == set(order[1:])
    assert all(
        test.effect_size is not None and test.effect_size < 0 for test in found.tests.values()
    )


def test_p_is_corrected_for_all_pairs_of_arms() -> None:
    rng = np.random.default_rng(5)
    arms = [rng.normal(place, 1, 6) for place in range(4)]
    pairs = [(i, j) for i in range(4) for j in range(i)]
    raw = [stats.ttest_rel(arms[i], arms[j]).pvalue for i, j in pairs]
    corrected: dict[Any, float] = dict(zip(pairs, by_definition(raw), strict=True))

    found = compare([by_seed(arm) for arm in arms], higher_is_better=True)

    best = found.order[0]
    for other, test in found.tests.items():
        pair = (max(best, other), min(best, other))
        assert test.p_value == pytest.approx(corrected[pair], rel=1e-9)


@pytest.mark.parametrize("num_arms", [2, 5])
def test_among_equal_arms_a_false_claim_is_as_rare_as_promised(num_arms: int) -> None:
    """Seeds have an effect of their own, which pairing takes out; the best was chosen by luck."""
    rng, trials = np.random.default_rng(1), 800
    false_claims = 0
    for _ in range(trials):
        values = rng.normal(size=(num_arms, 5)) + 3 * rng.normal(size=5)
        found = compare([by_seed(arm) for arm in values], higher_is_better=True)
        false_claims += any((test.p_value or 1) < ALPHA for test in found.tests.values())

    three_errors = 3 * math.sqrt(ALPHA * (1 - ALPHA) / trials)
    assert false_claims / trials < ALPHA + three_errors


def test_an_interval_holds_the_truth_as_often_as_promised() -> None:
    rng, trials = np.random.default_rng(2), 4000
    samples = rng.normal(size=(trials, 3))
    halves = [half_width(float(sample.std(ddof=1)), 3) for sample in samples]
    held = np.abs(samples.mean(axis=1)) <= halves

    assert held.mean() == pytest.approx(0.95, abs=0.012)
