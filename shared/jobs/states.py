"""The states of a job and the moves between them. Plain rules: no SQL, no HTTP."""

from enum import StrEnum

from shared.jobs.errors import IllegalTransition, UnfitVerb


class JobStatus(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"  # waits for a worker
    RUNNING = "running"  # a worker holds the lease
    CANCELLING = "cancelling"  # a worker was asked to stop for good
    PAUSING = "pausing"  # a worker was asked to stop for now
    PAUSED = "paused"  # holds no slot and waits to be resumed
    SUCCEEDED = "succeeded"  # trained to its end, its network published unless it failed its checks
    FAILED = "failed"  # ended by an error that its `error` explains
    CANCELLED = "cancelled"  # ended because someone asked


S = JobStatus
TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    S.QUEUED: frozenset({S.RUNNING, S.CANCELLED, S.PAUSED, S.FAILED}),
    S.RUNNING: frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLING, S.PAUSING, S.QUEUED}),
    S.CANCELLING: frozenset({S.CANCELLED, S.SUCCEEDED, S.FAILED}),
    S.PAUSING: frozenset({S.PAUSED, S.CANCELLING, S.SUCCEEDED, S.FAILED}),
    S.PAUSED: frozenset({S.QUEUED, S.CANCELLED}),
    S.SUCCEEDED: frozenset(),
    S.FAILED: frozenset({S.QUEUED}),
    S.CANCELLED: frozenset({S.QUEUED}),
}
FINAL = frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED})
"""States that a job leaves only when someone asks for another try."""
LEASED = frozenset({S.RUNNING, S.CANCELLING, S.PAUSING})
"""States in which a worker owns the job."""


def check_transition(job_id: str, now: JobStatus, then: JobStatus) -> None:
    """Raise `IllegalTransition` unless the table allows the move."""
    if then not in TRANSITIONS[now]:
        raise IllegalTransition(job_id, now, then)


class Verb(StrEnum):
    """What a person may do to a job."""

    CANCEL = "cancel"  # stop for good and keep the last checkpoint
    PAUSE = "pause"  # save, give the slot back, wait to be resumed
    RESUME = "resume"  # wait for a worker again, to go on exactly
    RETRY = "retry"  # go on from the last checkpoint after a failure or a cancellation


MOVES: dict[Verb, dict[JobStatus, JobStatus]] = {
    Verb.CANCEL: {
        S.QUEUED: S.CANCELLED,
        S.PAUSED: S.CANCELLED,
        S.RUNNING: S.CANCELLING,
        S.PAUSING: S.CANCELLING,
    },
    Verb.PAUSE: {S.QUEUED: S.PAUSED, S.RUNNING: S.PAUSING},
    Verb.RESUME: {S.PAUSED: S.QUEUED},
    Verb.RETRY: {S.FAILED: S.QUEUED, S.CANCELLED: S.QUEUED},
}
"""Where each verb takes a job from where; from elsewhere it does not fit."""
IN_FORCE: dict[Verb, frozenset[JobStatus]] = {
    Verb.CANCEL: frozenset({S.CANCELLING}),
    Verb.PAUSE: frozenset({S.PAUSING, S.PAUSED}),
    Verb.RESUME: frozenset(),
    Verb.RETRY: frozenset(),
}
"""States in which saying a verb again changes nothing, whoever said it first."""
REASONS = {
    Verb.CANCEL: "asked by the user",
    Verb.PAUSE: "paused by the user",
    Verb.RESUME: "resumed by the user",
    Verb.RETRY: "tried again by the user",
}
"""What a verb leaves as the reason of the status that it leads to."""
PAST = {
    Verb.CANCEL: "cancelled",
    Verb.PAUSE: "paused",
    Verb.RESUME: "resumed",
    Verb.RETRY: "tried again",
}


def is_under_way(verb: Verb, now: JobStatus, reason: str | None) -> bool:
    """Whether the verb was said already and still waits for what it asked for."""
    return now in IN_FORCE[verb] or (now is S.QUEUED and reason == REASONS[verb])


def moved_by(job_id: str, verb: Verb, now: JobStatus) -> JobStatus:
    """Where the verb takes the job. Raises `UnfitVerb` where it takes it nowhere."""
    then = MOVES[verb].get(now)
    if then is None:
        raise UnfitVerb(job_id, now, PAST[verb], sorted(MOVES[verb]))
    return then
