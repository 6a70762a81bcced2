"""One job as a line of a table says it; made from rows, and the same for template and script."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel
from sqlalchemy.orm import Session

from services.dashboard.views import words
from shared.config import get_settings
from shared.db.queue import QueueStore, Standing
from shared.db.tables import JobRow
from shared.jobs.states import FINAL, LEASED, MOVES, JobStatus, Verb

SOON_S = 5.0  # a wait that is not worth a number


class RowView(BaseModel):
    id: str
    short_id: str
    """Its end: the part that differs between jobs of one day."""
    href: str
    name: str
    network: str
    mapping: str
    status: str
    """A status, or `lost`: the worker has been silent for longer than its lease."""
    icon: str
    fraction: float
    percent: str
    eta: str
    """Time to go, place in the queue, or time taken."""
    detail: str
    experiment: str | None
    """Address of the experiment that it belongs to."""
    worker: str | None
    heartbeat_at: datetime | None
    can_cancel: bool


BLANK = RowView(
    id="",
    short_id="",
    href="/",
    name="",
    network="",
    mapping="",
    status="queued",
    icon="",
    fraction=0,
    percent="",
    eta="",
    detail="",
    experiment=None,
    worker=None,
    heartbeat_at=None,
    can_cancel=False,
)
"""What the script fills for a job that was not there when the page was made."""


def row_view(job: JobRow, standing: Standing | None, now: datetime) -> RowView:
    status = words.LOST if is_lost(job, now) else job.status
    return RowView(
        id=job.id,
        short_id=f"…{job.id[-6:]}",
        href=f"/jobs/{job.id}",
        name=job.name,
        network=words.network(job.spec),
        mapping=words.mapping(job.spec),
        status=status,
        icon=words.ICONS[status],
        fraction=job.progress["fraction"],
        percent=words.percent(job.progress["fraction"]),
        eta=eta(job, standing, now),
        detail=" · ".join(_details(job)),
        experiment=f"/experiments/{job.experiment_id}" if job.experiment_id else None,
        worker=job.worker,
        heartbeat_at=heartbeat_at(job),
        can_cancel=job.status in MOVES[Verb.CANCEL],
    )


def rows_of(db: Session, jobs: Sequence[JobRow]) -> list[RowView]:
    now, standings = datetime.now(UTC), QueueStore(db).standings(jobs)
    return [row_view(job, standings.get(job.id), now) for job in jobs]


def heartbeat_at(job: JobRow) -> datetime | None:
    """When the worker last renewed its lease."""
    if job.lease_until is None:
        return None
    return job.lease_until - timedelta(seconds=get_settings().lease_s)


def is_lost(job: JobRow, now: datetime) -> bool:
    return job.lease_until is not None and job.lease_until < now


def eta(job: JobRow, standing: Standing | None, now: datetime) -> str:
    if job.status in FINAL:
        return took(job)
    if standing is not None:
        return _place(standing)
    if job.status != JobStatus.RUNNING or is_lost(job, now):
        return words.NONE
    left_s = job.progress["eta_s"]
    return "estimating" if left_s is None else words.about(left_s)


def _place(standing: Standing) -> str:
    place = f"#{standing.position} in queue"
    if standing.starts_in_s is None or standing.starts_in_s < SOON_S:
        return place
    return f"{place}, ~{words.duration(standing.starts_in_s)}"


def took(job: JobRow) -> str:
    if job.started_at is None or job.finished_at is None:
        return words.NONE
    return words.duration((job.finished_at - job.started_at).total_seconds())


def _details(job: JobRow) -> Iterator[str]:
    if job.error:
        yield str(job.error["message"])
        return
    if job.status_reason and job.status not in LEASED | {JobStatus.SUCCEEDED}:
        yield job.status_reason
    yield from _standing(job)


def _standing(job: JobRow) -> Iterator[str]:
    progress = job.progress
    if progress["step"]:
        yield f"epoch {progress['epoch']} of {progress['epochs']}"
    loss = job.latest.get("val/loss")
    if loss is not None:
        yield f"val loss {words.number(loss)}"
    if job.best:
        yield f"best {best_words(job.best).removeprefix('val/loss ')}"


def best_words(best: dict[str, Any]) -> str:
    """`val/loss 0.398 at step 2,800`."""
    return f"{best['metric']} {words.number(best['value'])} at step {words.number(best['step'])}"
