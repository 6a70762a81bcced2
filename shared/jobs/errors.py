"""Facts that stop a request or a job, named after the fact; what HTTP makes of them is not known here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Fact(Exception):
    """Something a person has to be told: one sentence, the field it is about, all faults found."""

    code = "error"

    def __init__(
        self, message: str, *, param: str | None = None, details: Sequence[dict[str, object]] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.details = list(details)


LONGEST_SHOWN = 80  # longer than any id or name of ours


def shortened(text: str) -> str:
    """What someone sent, as a message can carry it."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


class NotFound(Fact):
    code = "not_found"


class JobNotFound(NotFound):
    def __init__(self, job_id: str) -> None:
        super().__init__(f"There is no job {shortened(job_id)!r}.")


class ExperimentNotFound(NotFound):
    def __init__(self, experiment_id: str) -> None:
        super().__init__(f"There is no experiment {shortened(experiment_id)!r}.")


class DatasetNotFound(NotFound):
    def __init__(self, name: str, *, param: str | None = None) -> None:
        super().__init__(
            f"There is no dataset {shortened(name)!r}. GET /v1/datasets lists what there is.",
            param=param,
        )


class CheckpointNotFound(NotFound):
    def __init__(self, checkpoint_id: str) -> None:
        super().__init__(f"There is no checkpoint {shortened(checkpoint_id)!r}.")


class ModelNotFound(NotFound):
    def __init__(self, name: str, version: str | None = None, *, param: str | None = None) -> None:
        what = f"model {shortened(name)!r}"
        if version is not None:
            what = f"version {shortened(version)!r} of {what}"
        super().__init__(
            f"There is no {what}. GET /v1/models lists what is published.", param=param
        )


class AliasNotFound(NotFound):
    def __init__(self, name: str, alias: str) -> None:
        super().__init__(f"Model {shortened(name)!r} has no alias {shortened(alias)!r}.")


class KeyNotFound(NotFound):
    def __init__(self, key_id: str) -> None:
        super().__init__(
            f"There is no key {shortened(key_id)!r}. GET /v1/keys lists what there is."
        )


class SessionNotFound(NotFound):
    def __init__(self, session_id: str) -> None:
        super().__init__(
            f"There is no session {shortened(session_id)!r}. POST /v1/models/{{name}}/sessions makes one."
        )


class Gone(Fact):
    """It was there, and never will be again."""

    code = "gone"


class SessionExpired(Gone):
    code = "session_expired"

    def __init__(self, session_id: str) -> None:
        super().__init__(
            f"Session {session_id} was not used for its lifetime and has expired; make a new one."
        )


class Busy(Fact):
    """Not now: there is too much to do already."""

    code = "overloaded"


class SessionsFull(Busy):
    code = "sessions_full"

    def __init__(self, cap: int) -> None:
        super().__init__(
            f"There are {cap} sessions, as many as are allowed; delete some, or try again later."
        )


class DeadlineExceeded(Busy):
    code = "deadline_exceeded"

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The answer was not ready within {seconds:g} s; nothing more is done for it."
        )


class Conflict(Fact):
    code = "conflict"


class ModelGone(Conflict):
    """The network that a session's state belongs to is no longer published."""

    code = "model_gone"

    def __init__(self, name: str, version: int) -> None:
        super().__init__(
            f"Version {version} of model {shortened(name)!r}, to which this state belongs, is no longer "
            "published; make a new session."
        )


class SessionMoved(Conflict):
    """A session is not where the caller takes it to be."""

    code = "session_moved"

    def __init__(self, position: int) -> None:
        super().__init__(
            f"The session has read {position} elements already; send what comes after them, with "
            f'"position": {position}.',
            param="position",
        )


class IllegalTransition(Conflict):
    code = "illegal_transition"

    def __init__(self, job_id: str, now: str, then: str) -> None:
        super().__init__(f"Job {job_id} is {now} and cannot become {then}.")


class UnfitVerb(Conflict):
    code = "illegal_transition"

    def __init__(self, job_id: str, now: str, past: str, fitting: Sequence[str]) -> None:
        states = " or ".join(fitting)
        super().__init__(f"Job {job_id} is {now}; only a job that is {states} can be {past}.")


class TooManyQueued(Fact):
    """The owner has as many waiting jobs as the operator allows."""

    code = "too_many_queued"

    def __init__(self, cap: int) -> None:
        super().__init__(
            f"No more jobs may wait: one key may have {cap} waiting job{'s' if cap > 1 else ''}. Try "
            "again when some have started, or cancel some."
        )


class TooManyFetches(TooManyQueued):
    """As many files as may be read at once are being read from their URLs."""

    code = "too_many_fetches"

    def __init__(self, cap: int) -> None:
        Fact.__init__(self, f"{cap} files are being read from URLs already. Try again shortly.")


class NameTaken(Conflict):
    code = "name_taken"


class DatasetInUse(Conflict):
    code = "dataset_in_use"


class VersionInUse(Conflict):
    code = "version_in_use"


class FailedChecks(Conflict):
    """A version that is kept, and served to nobody."""

    code = "failed_checks"

    def __init__(self, name: str, version: int, reason: str) -> None:
        super().__init__(f"Version {version} of model {name!r} is not served: {reason}")


class IdempotencyMismatch(Conflict):
    code = "idempotency_mismatch"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used with another request body; send a new key.",
            param="Idempotency-Key",
        )


class InvalidSpec(Fact):
    """A wish that cannot be granted; every fault is in `details`."""

    code = "invalid_spec"


class InvalidUpload(InvalidSpec):
    code = "invalid_dataset"


class Malformed(Fact):
    """What was sent cannot be read, whatever it is about."""

    code = "malformed"


class TooLarge(Fact):
    code = "too_large"


class CorruptBlob(Fact):
    """Stored bytes do not hash to what they did when they were written."""

    code = "corrupt_blob"


class LeaseLost(Exception):
    """This attempt no longer owns the job: it may write nothing more."""


class ErrorClass(StrEnum):
    """Whose fault it is, and so whether trying again can help."""

    USER = "user"  # the spec asks for what does not work
    DATA = "data"  # the data do not allow it
    RESOURCE = "resource"  # memory, disk or time ran out
    INFRA = "infra"  # a machine or a server went away


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job failed, as its `error` says it."""

    code: str
    cls: ErrorClass
    message: str
    details: dict[str, Any] = field(default_factory=dict)
    """What the message says, for programs."""

    def to_json(self) -> dict[str, Any]:
        known = {"code": self.code, "class": self.cls.value, "message": self.message}
        return {**known, "details": self.details} if self.details else known
