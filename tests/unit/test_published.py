"""The benchmark's own arithmetic: n-grams, goals and the table, without training."""

from pathlib import Path

import pytest

from benchmarks.published.goals import GOALS, Bound, at_most
from benchmarks.published.ngram import SMOOTHINGS, START, STOP, best_ngram, witten_bell
from benchmarks.published.report import CLOSING, OPENING, Result, write_results

NAMES = ("anna", "hanna", "anton", "hanno", "otto")


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("context", [START * 2, "an", "zz"])
def test_the_probabilities_after_any_context_sum_to_one(smoothing: str, context: str) -> None:
    symbols = sorted({*"".join(NAMES), STOP, "?"})

    ngram = SMOOTHINGS[smoothing](NAMES, 3, len(symbols))

    assert sum(ngram.probability(context, symbol) for symbol in symbols) == pytest.approx(1)
    assert all(ngram.probability(context, symbol) > 0 for symbol in symbols)


def test_witten_bell_weighs_a_context_by_its_count_and_variety() -> None:
    ngram = witten_bell(["aab"], 2, num_symbols=4)

    # after nothing: a, a, b, stop; after a: a, b
    shorter = (2 + 3 * 1 / 4) / (4 + 3)
    assert ngram.probability("a", "a") == pytest.approx((1 + 2 * shorter) / (2 + 2))


def test_a_language_with_names_of_its_own_is_told_from_the_others() -> None:
    train = [("x", "abab")] * 20 + [("y", "cdcd")] * 20

    best = best_ngram(train, [("x", "abab")], [("x", "abab"), ("y", "cdcd")])

    assert best.nats < 0.1


def test_a_goal_is_reached_inside_its_bound_and_time() -> None:
    goal = next(goal for goal in GOALS if goal.limit_s == 60)

    def ended(value: float | None, seconds: float) -> Result:
        return Result(goal, at_most(0.5), value, seconds)

    assert ended(0.5, 60).is_reached
    assert not ended(0.51, 1).is_reached
    assert not ended(0.1, 61).is_reached
    assert not ended(None, 1).is_reached


def test_rows_that_were_not_trained_again_stay_in_the_table(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text(f"before\n{OPENING}\n{CLOSING}\nafter\n")
    first, second = GOALS[:2]

    write_results([Result(first, Bound(high=1), 0.25, 3)], GOALS[:2], path)
    write_results([Result(second, Bound(high=1), 0.75, 4)], GOALS[:2], path)

    lines = path.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    rows = [line.split(" | ") for line in lines if line.startswith("| `")]
    assert [row[0] for row in rows] == [f"| `{first.name}`", f"| `{second.name}`"]
    assert [row[3] for row in rows] == ["0.250", "0.750"]
