"""The table of transitions against the moves that the contract promises."""

from itertools import product

import pytest

from shared.jobs.errors import IllegalTransition
from shared.jobs.states import FINAL, LEASED, TRANSITIONS, JobStatus, check_transition

S = JobStatus
CONTRACT = [  # the moves that the HTTP contract promises
    (S.QUEUED, S.RUNNING),
    (S.RUNNING, S.SUCCEEDED),
    (S.RUNNING, S.FAILED),
    (S.RUNNING, S.CANCELLING),
    (S.CANCELLING, S.CANCELLED),
    (S.RUNNING, S.PAUSING),
    (S.PAUSING, S.PAUSED),
    (S.PAUSED, S.QUEUED),
    (S.QUEUED, S.CANCELLED),
    (S.QUEUED, S.PAUSED),
]


@pytest.mark.parametrize(("now", "then"), CONTRACT)
def test_every_move_of_the_contract_is_allowed(now: JobStatus, then: JobStatus) -> None:
    check_transition("job_1", now, then)


def test_a_job_that_has_ended_moves_nowhere() -> None:
    assert {S.SUCCEEDED, S.FAILED, S.CANCELLED} == FINAL
    for now, then in product(FINAL, S):
        with pytest.raises(IllegalTransition, match=f"job_1 is {now} and cannot become {then}"):
            check_transition("job_1", now, then)


def test_no_job_moves_to_where_it_is() -> None:
    for status in S:
        with pytest.raises(IllegalTransition):
            check_transition("job_1", status, status)


def test_every_status_has_its_row_and_can_be_reached_from_queued() -> None:
    reached, fresh = {S.QUEUED}, {S.QUEUED}
    while fresh:
        fresh = {then for now in fresh for then in TRANSITIONS[now]} - reached
        reached |= fresh

    assert set(TRANSITIONS) == reached == set(S)


def test_a_worker_comes_in_by_running_alone() -> None:
    entries = {
        (now, then)
        for now in S
        for then in TRANSITIONS[now]
        if then in LEASED and now not in LEASED
    }

    assert entries == {(S.QUEUED, S.RUNNING)}
