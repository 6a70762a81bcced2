"""From runs to ranks and to one honest sentence."""

import math
from itertools import count

import pytest

from shared.jobs.conclusion import conclusion_of, warnings_of
from shared.jobs.leaderboard import (
    ExperimentStatus,
    Leaderboard,
    Progress,
    Run,
    leaderboard_of,
    progress_of,
    status_of,
)
from shared.jobs.states import JobStatus

LABELS = ["lstm", "gru", "elman"]
DONE = Progress(total=9, ended=9, fraction=1.0)
ids = count()


def runs(arm: int, values: list[float | None], tests: list[float] | None = None) -> list[Run]:
    """One run a seed; a value of None failed."""
    return [
        Run(
            f"job_{next(ids)}",
            arm,
            seed,
            JobStatus.FAILED if value is None else JobStatus.SUCCEEDED,
            1.0,
            value,
            None if tests is None else tests[seed],
            10.0 * (seed + 1),
            epochs=3,
        )
        for seed, value in enumerate(values)
    ]


def board_of(*arms: list[float | None], higher_is_better: bool = True) -> Leaderboard:
    made = [run for arm, values in enumerate(arms) for run in runs(arm, values)]
    return leaderboard_of(made, len(arms), higher_is_better=higher_is_better)


def said(board: Leaderboard, status: str = ExperimentStatus.SUCCEEDED) -> str:
    return conclusion_of(board, DONE, status, "val/accuracy", LABELS)


def test_arms_rank_by_validation_and_tell_what_the_test_split_says() -> None:
    made = [*runs(0, [0.8, 0.9], [0.95, 0.97]), *runs(1, [0.85, 0.99], [0.5, 0.6])]

    board = leaderboard_of(made, 2, higher_is_better=True)

    best, other = board.standings
    assert (best.arm, other.arm, best.is_best, other.is_best) == (1, 0, True, False)
    assert best.test_summary is not None
    assert best.test_summary.mean == pytest.approx(0.55)
    assert (best.train_s, best.against_best, best.is_worse) == (15.0, None, None)
    assert best.epoch_s == 5.0


def test_arms_without_values_come_last_and_failed_seeds_are_told() -> None:
    board = board_of([None, None], [0.5, None], [math.inf, 0.4])

    assert [each.arm for each in board.standings] == [1, 2, 0]
    assert board.standings[2].summary is None
    assert list(warnings_of(board, LABELS)) == [
        "1 of 2 seeds of gru failed; its numbers are those of the others.",
        "1 of 2 seeds of elman succeeded without a finite value.",
        "2 of 2 seeds of lstm failed.",
    ]


CLEAR: list[float | None] = [0.90, 0.91, 0.93, 0.92, 0.91]


def test_a_difference_that_is_there_is_said_and_one_that_is_not_is_said_too() -> None:
    near: list[float | None] = [0.91, 0.90, 0.92, 0.93, 0.90]
    far: list[float | None] = [0.50, 0.52, 0.53, 0.50, 0.51]

    sentence = said(board_of(CLEAR, near, far))

    assert sentence.startswith("lstm has the best mean val/accuracy, 0.914 (95 % interval ")
    assert "it is significantly better than elman (p = " in sentence
    assert "there is no significant difference to gru (p = " in sentence
    assert sentence.count(".") - sentence.count("0.") == 1


def test_nothing_is_claimed_of_what_was_not_tested() -> None:
    assert "nothing can be said of gru (only one common seed)" in said(
        board_of([0.9, 0.8], [0.7, None])
    )
    assert "no other arm" in said(board_of([0.9, 0.8]))
    assert said(board_of([None], [None])).startswith("No job has succeeded")
    running = Progress(total=6, ended=2)
    assert (
        conclusion_of(board_of([0.9]), running, ExperimentStatus.RUNNING, "val/loss", LABELS)
        == "Not finished: 2 of 6 jobs have ended."
    )


def test_smaller_is_better_for_a_loss() -> None:
    board = board_of([2.0, 2.1, 2.2], [1.0, 1.3, 1.1], higher_is_better=False)

    assert [each.arm for each in board.standings] == [1, 0]
    test = board.standings[1].against_best
    assert test is not None
    assert test.difference == pytest.approx(0.9666666)
    assert test.effect_size is not None
    assert test.effect_size < 0


Q, R, S, F = JobStatus.QUEUED, JobStatus.CANCELLING, JobStatus.SUCCEEDED, JobStatus.FAILED


@pytest.mark.parametrize(
    ("states", "succeeded", "cancelled", "status"),
    [
        ([S, S, S, Q], [2, 1], False, "running"),
        ([S, S, S, S], [2, 2], False, "succeeded"),
        ([S, S, S, F], [2, 1], False, "failed"),
        ([S, S, R, R], [2, 0], True, "cancelled"),
    ],
)
def test_the_status_follows_from_the_jobs(
    states: list[JobStatus], succeeded: list[int], cancelled: bool, status: str
) -> None:
    progress = progress_of([(state, 0.5) for state in states])

    assert status_of(progress, succeeded, is_cancelled=cancelled) == status
    unfinished = sum(state in (Q, R) for state in states)
    assert (progress.total, progress.ended) == (4, 4 - unfinished)
    assert progress.fraction == pytest.approx(1 - unfinished / 8)
