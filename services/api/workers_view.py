"""Workers and the queue as they go over the wire."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Literal

from services.api.views import View
from shared.config import get_settings
from shared.db.tables import WorkerRow


class UsageView(View):
    """Bytes and shares as of the last heartbeat; null for what a machine does not tell or have."""

    memory_used: int | None = None
    """Resident bytes of the worker and the processes that it started."""
    memory_total: int | None = None
    """Of the machine, or of its container."""
    gpu_memory_used: int | None = None
    """On all of its GPUs, by whatever process."""
    gpu_memory_total: int | None = None
    gpu_busy: float | None = None
    """Share of the last moments in which its GPUs computed, from 0 to 1."""


class WorkerView(View):
    name: str
    object: Literal["worker"] = "worker"
    device: str
    """cpu, or the name of its GPU."""
    num_gpus: int
    """How many it has; a job may ask for all of them (resources.devices)."""
    status: str
    """idle, busy or lost (no heartbeat for longer than a lease)."""
    job_id: str | None
    """null when it is idle, or busy with a job of another key."""
    usage: UsageView | None
    """null where its machine tells nothing."""
    last_heartbeat_at: datetime
    started_at: datetime


def worker_view(row: WorkerRow, seen: Collection[str]) -> WorkerView:
    """`seen` = ids of the jobs that the caller may see."""
    silent_s = (datetime.now(UTC) - row.heartbeat_at).total_seconds()
    lost = silent_s > get_settings().lease_s
    return WorkerView(
        name=row.name,
        device=row.device,
        num_gpus=row.num_gpus,
        usage=UsageView(**row.usage) if row.usage else None,
        status="lost" if lost else "busy" if row.job_id else "idle",
        job_id=row.job_id if row.job_id in seen else None,
        last_heartbeat_at=row.heartbeat_at,
        started_at=row.started_at,
    )


class QueueView(View):
    object: Literal["queue"] = "queue"
    depth: int
    by_priority: dict[str, int]
    oldest_age_s: float | None
