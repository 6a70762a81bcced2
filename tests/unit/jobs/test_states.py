"""The table of transitions against the moves that the contract promises."""

from itertools import product

import pytest

from shared.jobs.errors import IllegalTransition, UnfitVerb
from shared.jobs.states import (
    FINAL,
    IN_FORCE,
    LEASED,
    MOVES,
    PAST,
    REASONS,
    TRANSITIONS,
    JobStatus,
    Verb,
    check_transition,
    is_under_way,
    moved_by,
)

S = JobStatus
FITTING = {  # what the HTTP interface promises of its verbs
    Verb.CANCEL: {S.QUEUED, S.RUNNING, S.PAUSING, S.PAUSED},
    Verb.PAUSE: {S.QUEUED, S.RUNNING},
    Verb.RESUME: {S.PAUSED},
    Verb.RETRY: {S.FAILED, S.CANCELLED},
}
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


def test_a_job_that_has_ended_moves_nowhere_but_to_another_try() -> None:
    assert {S.SUCCEEDED, S.FAILED, S.CANCELLED} == FINAL
    tries = {(S.FAILED, S.QUEUED), (S.CANCELLED, S.QUEUED)}
    for now, then in set(product(FINAL, S)) - tries:
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


@pytest.mark.parametrize("verb", Verb)
def test_a_verb_fits_some_states_repeats_in_some_and_is_refused_in_the_others(verb: Verb) -> None:
    for now in S:
        if now in FITTING[verb]:
            check_transition("job_1", now, moved_by("job_1", verb, now))
            assert not is_under_way(verb, now, None)
        else:
            with pytest.raises(UnfitVerb, match=f"job_1 is {now}; only .* can be {PAST[verb]}"):
                moved_by("job_1", verb, now)
    assert set(IN_FORCE) == set(REASONS) == set(MOVES) == set(Verb)


def test_a_verb_that_led_to_the_queue_is_under_way_until_a_worker_comes() -> None:
    assert is_under_way(Verb.RESUME, S.QUEUED, REASONS[Verb.RESUME])
    assert not is_under_way(Verb.RESUME, S.QUEUED, None)
    assert not is_under_way(Verb.RESUME, S.QUEUED, REASONS[Verb.RETRY])
    assert not is_under_way(Verb.RESUME, S.RUNNING, REASONS[Verb.RESUME])
