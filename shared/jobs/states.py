"""The states of a job and the moves between them. Plain rules: no SQL, no HTTP."""

from enum import StrEnum

from shared.jobs.errors import IllegalTransition


class JobStatus(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"  # waits for a worker
    RUNNING = "running"  # a worker holds the lease
    CANCELLING = "cancelling"  # a worker was asked to stop for good
    PAUSING = "pausing"  # a worker was asked to stop for now
    PAUSED = "paused"  # holds no slot and waits to be resumed
    SUCCEEDED = "succeeded"  # trained to its end, its network published
    FAILED = "failed"  # ended by an error that its `error` explains
    CANCELLED = "cancelled"  # ended because someone asked


S = JobStatus
TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    S.QUEUED: frozenset({S.RUNNING, S.CANCELLED, S.PAUSED, S.FAILED}),
    S.RUNNING: frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLING, S.PAUSING, S.QUEUED}),
    S.CANCELLING: frozenset({S.CANCELLED, S.SUCCEEDED, S.FAILED}),
    S.PAUSING: frozenset({S.PAUSED, S.CANCELLING, S.SUCCEEDED, S.FAILED, S.QUEUED}),
    S.PAUSED: frozenset({S.QUEUED, S.CANCELLED}),
    S.SUCCEEDED: frozenset(),
    S.FAILED: frozenset(),
    S.CANCELLED: frozenset(),
}
FINAL = frozenset(status for status, after in TRANSITIONS.items() if not after)
LEASED = frozenset({S.RUNNING, S.CANCELLING, S.PAUSING})
"""States in which a worker owns the job."""


def check_transition(job_id: str, now: JobStatus, then: JobStatus) -> None:
    """Raise `IllegalTransition` unless the table allows the move."""
    if then not in TRANSITIONS[now]:
        raise IllegalTransition(job_id, now, then)
