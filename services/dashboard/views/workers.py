"""Workers, the queue before them and their last hour, as a page says it."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from services.dashboard.views import words
from shared.config import get_settings
from shared.db.jobs import JobStore
from shared.db.queue import QueueStore
from shared.db.tables import WorkerRow
from shared.db.workers import WorkerStore

ENDED = {  # outcome of an attempt -> how the page counts it
    "succeeded": "done",
    "failed": "failed",
    "lost": "lost",
    "cancelled": "cancelled",
    "paused": "paused",
    "released": "handed back",
}
MANY_DEVICES = "{device}, {count} GPUs"


@dataclass(frozen=True, slots=True)
class WorkerLine:
    name: str
    device: str
    status: str
    """idle, busy or lost."""
    icon: str
    job_id: str | None
    """Null also while it is busy with a job of another key."""
    memory: str
    """In use, of how much."""
    gpu_memory: str
    gpu_busy: str
    heartbeat_at: datetime
    started_at: datetime
    done: int
    """Attempts of its last hour that succeeded."""


@dataclass(frozen=True, slots=True)
class QueueLine:
    priority: int
    waiting: str
    oldest: str


@dataclass(frozen=True, slots=True)
class WorkersView:
    workers: list[WorkerLine]
    queue: list[QueueLine]
    last_hour: str
    depth: int
    has_gpus: bool
    """Whether any worker has one."""


def workers_view(db: Session) -> WorkersView:
    store, lines = WorkerStore(db), QueueStore(db).lines()
    rows, hour = store.all(), store.last_hour()
    seen = JobStore(db).seen([row.job_id for row in rows if row.job_id])
    counts: Counter[str] = sum(map(Counter, hour.values()), Counter())
    return WorkersView(
        workers=[_line(row, seen, hour.get(row.name, {})) for row in rows],
        queue=[
            QueueLine(
                each.priority, words.plural(each.waiting, "job"), words.duration(each.oldest_age_s)
            )
            for each in lines
        ],
        last_hour=_hour(counts),
        depth=sum(each.waiting for each in lines),
        has_gpus=any(row.num_gpus for row in rows),
    )


def _hour(counts: Counter[str]) -> str:
    said = [f"{counts[outcome]:,} {word}" for outcome, word in ENDED.items() if counts[outcome]]
    return ", ".join(said) or "nothing ended"


def _line(row: WorkerRow, seen: Collection[str], hour: dict[str, int]) -> WorkerLine:
    silent_s = (datetime.now(UTC) - row.heartbeat_at).total_seconds()
    is_lost = silent_s > get_settings().lease_s
    status = "lost" if is_lost else "busy" if row.job_id else "idle"
    usage = {} if is_lost else row.usage or {}
    many = MANY_DEVICES.format(device=row.device, count=row.num_gpus)
    return WorkerLine(
        name=row.name,
        device=many if row.num_gpus > 1 else row.device,
        status=status,
        icon=words.ICONS[status],
        job_id=row.job_id if row.job_id in seen else None,
        memory=_of_all(usage, "memory"),
        gpu_memory=_of_all(usage, "gpu_memory"),
        gpu_busy=words.percent(usage["gpu_busy"]) if "gpu_busy" in usage else words.NONE,
        heartbeat_at=row.heartbeat_at,
        started_at=row.started_at,
        done=hour.get("succeeded", 0),
    )


def _of_all(usage: dict[str, Any], what: str) -> str:
    """`800 MiB of 24 GiB`, or nothing where it is not known."""
    used, total = usage.get(f"{what}_used"), usage.get(f"{what}_total")
    if used is None or total is None:
        return words.NONE
    return f"{words.size(used)} of {words.size(total)}"
