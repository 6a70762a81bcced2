"""Every query about workers: who is there, with what, doing what. Callers own the transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select, text, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.db.tables import AttemptRow, WorkerRow

FORGOTTEN_AFTER = "1 day"


class WorkerStore:
    def __init__(self, db: Session) -> None:
        self.db = db

    def beat(
        self,
        name: str,
        device: str,
        job_id: str | None,
        num_gpus: int = 0,
        usage: dict[str, Any] | None = None,
    ) -> None:
        """Say that a worker is alive, what it has and what it is busy with.

        Without `usage`, what was said of it last stays.
        """
        values: dict[str, Any] = {"device": device, "num_gpus": num_gpus, "job_id": job_id}
        values["heartbeat_at"] = func.now()
        if usage is not None:
            values["usage"] = usage
        statement = insert(WorkerRow).values(name=name, **values)
        self.db.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))

    def leave(self, name: str) -> None:
        self.db.execute(delete(WorkerRow).where(WorkerRow.name == name))

    def forget_lost(self) -> None:
        old = text(f"heartbeat_at < now() - interval '{FORGOTTEN_AFTER}'")
        self.db.execute(delete(WorkerRow).where(old))

    def num_alive(self, lease_s: float) -> int:
        """Workers that gave a sign within the last `lease_s` seconds."""
        alive = select(func.count()).select_from(WorkerRow).where(_is_alive(lease_s))
        return self.db.scalars(alive).one()

    def can_train(self, device: str, num_devices: int, lease_s: float) -> bool:
        """Whether a worker that could claim such a job gave a sign within the last `lease_s` seconds."""
        enough = {
            "cpu": true(),
            "cuda": WorkerRow.num_gpus >= num_devices,
            "auto": or_(WorkerRow.num_gpus == 0, WorkerRow.num_gpus >= num_devices),
        }
        found = select(WorkerRow.name).where(_is_alive(lease_s), enough[device])
        return self.db.scalars(found.limit(1)).first() is not None

    def forget(self, name: str, lease_s: float) -> None:
        """Drop a worker that has been silent for longer than `lease_s`; one that beats stays."""
        self.db.execute(delete(WorkerRow).where(WorkerRow.name == name, ~_is_alive(lease_s)))

    def last_hour(self) -> dict[str, dict[str, int]]:
        """Attempts that ended within an hour, by worker and outcome."""
        recent = AttemptRow.ended_at > func.now() - text("interval '1 hour'")
        outcome = func.coalesce(AttemptRow.outcome, "")
        counted = select(AttemptRow.worker, outcome, func.count()).where(recent)
        found: dict[str, dict[str, int]] = {}
        for worker, ended, count in self.db.execute(counted.group_by(AttemptRow.worker, outcome)):
            found.setdefault(worker, {})[ended] = count
        return found

    def all(self) -> Sequence[WorkerRow]:
        return self.db.scalars(select(WorkerRow).order_by(WorkerRow.name)).all()


def _is_alive(lease_s: float) -> ColumnElement[bool]:
    return WorkerRow.heartbeat_at > func.now() - func.make_interval(0, 0, 0, 0, 0, 0, lease_s)
