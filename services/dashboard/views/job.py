"""One job as its page says it: what changes while it runs, and why it ended."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel
from sqlalchemy.orm import Session

from services.dashboard.views import words
from services.dashboard.views.rows import RowView, best_words, is_lost, row_view, took
from shared.config import get_settings
from shared.db.checkpoints import CheckpointStore
from shared.db.jobs import JobStore
from shared.db.leases import FAULTY
from shared.db.queue import QueueStore
from shared.db.tables import AttemptRow, JobRow
from shared.jobs.errors import ErrorClass
from shared.jobs.states import FINAL, LEASED, MOVES, JobStatus, Verb

ADVICE: dict[str, str] = {
    ErrorClass.USER: "Change the spec and submit it again; the code below holds it.",
    ErrorClass.DATA: "Mend the dataset, upload it under a new name and submit the job again.",
    ErrorClass.RESOURCE: "Ask for less (batch size, hidden size, layers, sequence length), "
    "or give the worker more.",
    ErrorClass.INFRA: "Look at the worker's log; when the cause is mended, press Retry: the job goes "
    "on from its last checkpoint, or from the start where it has none yet.",
}
"""What to do next, by whose fault it was."""
TITLES: dict[str, str] = {
    ErrorClass.USER: "The spec asks for what does not work",
    ErrorClass.DATA: "The data do not allow it",
    ErrorClass.RESOURCE: "Memory, disk or time ran out",
    ErrorClass.INFRA: "A machine or a server went away",
}
NOTES: dict[str, str] = {
    JobStatus.QUEUED: "It waits for a worker.",
    JobStatus.CANCELLING: "It stops at its next step and keeps its last checkpoint.",
    JobStatus.PAUSING: "It saves a checkpoint at its next step and frees its worker.",
    JobStatus.PAUSED: "It holds no worker. Once resumed, it goes on exactly where it stopped.",
}
"""What a state means for somebody who waits."""
DIVERGED = "loss_not_finite"
ADVICE_OF_CODE = {
    DIVERGED: "Clone it with a lower learning rate, or clip the gradient at a smaller norm. What was "
    "learnt before is in its last checkpoint.",
}
"""Where the code alone says more than whose fault it was."""
TITLES_OF_CODE = {DIVERGED: "Training diverged"}
SPLITS = ("test", "val", "train")  # what counts most comes first


class ErrorCard(BaseModel):
    title: str
    message: str
    code: str
    advice: str
    slower: str | None
    """Address of the form for the same job with a tenth of the learning rate, where that may help."""


class LostCard(BaseModel):
    limit: str
    next: str


class AttemptView(BaseModel):
    number: int
    worker: str
    device: str
    started_at: datetime
    lasted: str
    outcome: str
    resumed_from: str


class Value(BaseModel):
    name: str
    value: str


class JobPageView(RowView):
    step: str
    pace: str
    reason: str | None
    note: str | None
    eta_label: str
    error: ErrorCard | None
    lost: LostCard | None
    best: dict[str, Any] | None
    best_text: str | None
    model: str | None
    model_href: str | None
    latest: list[Value]
    has_latest: bool
    attempts: list[AttemptView]
    attempt: int
    started_at: datetime | None
    finished_at: datetime | None
    took: str
    is_final: bool
    can_pause: bool
    can_resume: bool
    can_retry: bool
    again: str
    """From where it is trained again by Retry: an epoch, or the start."""


def job_page_view(db: Session, job: JobRow) -> JobPageView:
    store, now = JobStore(db), datetime.now(UTC)
    standing = QueueStore(db).standings([job]).get(job.id)
    row = row_view(job, standing, now)
    attempts = store.attempts([job.id])[job.id]
    return JobPageView(
        **row.model_dump(),
        step=_step(job),
        pace=_pace(job),
        reason=_reason(job),
        note=_note(job),
        eta_label="" if standing else "time left",  # a place in the queue says so itself
        error=_error(job),
        lost=_lost(job, attempts) if is_lost(job, now) else None,
        best=job.best,
        best_text=best_words(job.best) if job.best else None,
        model=f"{job.model_name}, version {job.model_version}" if job.model_version else None,
        model_href=_model_href(job),
        latest=list(_latest(job)),
        has_latest=bool(job.latest),
        attempts=[_attempt(attempt) for attempt in reversed(attempts)],
        attempt=job.attempt,
        started_at=job.started_at,
        finished_at=job.finished_at,
        took=took(job),
        is_final=job.status in FINAL,
        can_pause=job.status in MOVES[Verb.PAUSE],
        can_resume=job.status in MOVES[Verb.RESUME],
        can_retry=job.status in MOVES[Verb.RETRY],
        again=_again(db, job) if job.status in MOVES[Verb.RETRY] else "",
    )


def _model_href(job: JobRow) -> str | None:
    if not job.model_name or not job.model_version:
        return None
    return f"/models/{quote(job.model_name, safe='')}?version={job.model_version}"


def _again(db: Session, job: JobRow) -> str:
    last = CheckpointStore(db).latest(job.id)
    return f"from epoch {last.epoch}" if last else "from the start"


def _step(job: JobRow) -> str:
    progress = job.progress
    done, total = words.number(progress["step"]), words.number(progress["total_steps"])
    return f"epoch {progress['epoch']} of {progress['epochs']}, step {done} of {total}"


def _pace(job: JobRow) -> str:
    """Time of an epoch at the present speed; nothing for a job that does not run."""
    progress = job.progress
    if job.status != JobStatus.RUNNING or not progress["steps_per_s"]:
        return ""
    rate = progress["steps_per_s"]
    if job.spec["training"]["max_steps"]:  # the last epoch may be cut short: no epoch is typical
        return f"{rate:.3g} steps per second"
    seconds = progress["total_steps"] / progress["epochs"] / rate
    return f"{seconds:.2g} s per epoch" if seconds < 10 else f"{words.duration(seconds)} per epoch"


def _reason(job: JobRow) -> str | None:
    """Why it stands as it does, as a sentence."""
    if job.status in LEASED or job.error or not job.status_reason:
        return None
    first, rest = job.status_reason[0], job.status_reason[1:]
    return f"{first.upper()}{rest.removesuffix('.')}."


def _note(job: JobRow) -> str | None:
    if job.status == JobStatus.QUEUED and job.attempt:
        return f"Attempt {job.attempt + 1} follows."
    return NOTES.get(job.status)


def _error(job: JobRow) -> ErrorCard | None:
    if job.error is None:
        return None
    code, fault = job.error["code"], job.error["class"]
    return ErrorCard(
        title=TITLES_OF_CODE.get(code, TITLES[fault]),
        message=job.error["message"],
        code=code,
        advice=ADVICE_OF_CODE.get(code, ADVICE[fault]),
        slower=f"/jobs/new?from={job.id}&slower=10" if code == DIVERGED else None,
    )


def _lost(job: JobRow, attempts: Sequence[AttemptRow]) -> LostCard:
    """Attempts that were handed back, and those before a retry, are not counted."""
    counted = [a for a in attempts if a.outcome in FAULTY and a.number > job.granted_after]
    number = len(counted) + 1
    tries = f"attempt {number} of {job.max_attempts}"
    back = f"It will go back to the queue; this was {tries}."
    end = f"This was {tries}, the last one: the job will be marked as failed."
    return LostCard(
        limit=words.duration(get_settings().lease_s),
        next=back if number < job.max_attempts else end,
    )


def _latest(job: JobRow) -> Iterator[Value]:
    for name, value in sorted(job.latest.items(), key=lambda item: _rank(item[0])):
        yield Value(name=name, value=words.number(value))


def _rank(metric: str) -> tuple[int, str]:
    split = metric.partition("/")[0]
    return (SPLITS.index(split) if split in SPLITS else len(SPLITS), metric)


def _attempt(row: AttemptRow) -> AttemptView:
    ended = row.ended_at
    return AttemptView(
        number=row.number,
        worker=row.worker,
        device=row.device,
        started_at=row.started_at,
        lasted=words.duration((ended - row.started_at).total_seconds()) if ended else words.NONE,
        outcome=row.outcome or "running",
        resumed_from=words.number(row.resumed_from_step),
    )
