"""Every query about workers: who is there, with what, doing what. Callers own the transaction."""

from collections.abc import Sequence

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.db.tables import WorkerRow

FORGOTTEN_AFTER = "1 day"


class WorkerStore:
    def __init__(self, db: Session) -> None:
        self.db = db

    def beat(self, name: str, device: str, job_id: str | None) -> None:
        """Say that a worker is alive and what it is busy with."""
        values = {"device": device, "job_id": job_id, "heartbeat_at": func.now()}
        statement = insert(WorkerRow).values(name=name, **values)
        self.db.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))

    def leave(self, name: str) -> None:
        self.db.execute(delete(WorkerRow).where(WorkerRow.name == name))

    def forget_lost(self) -> None:
        old = text(f"heartbeat_at < now() - interval '{FORGOTTEN_AFTER}'")
        self.db.execute(delete(WorkerRow).where(old))

    def has_cuda(self, lease_s: float) -> bool:
        """Whether a worker with a CUDA device gave a sign within the last `lease_s` seconds."""
        alive = WorkerRow.heartbeat_at > func.now() - func.make_interval(0, 0, 0, 0, 0, 0, lease_s)
        found = select(WorkerRow.name).where(alive, WorkerRow.device != "cpu")
        return self.db.scalars(found.limit(1)).first() is not None

    def num_alive(self, lease_s: float) -> int:
        """Workers that gave a sign within the last `lease_s` seconds."""
        alive = WorkerRow.heartbeat_at > func.now() - func.make_interval(0, 0, 0, 0, 0, 0, lease_s)
        return self.db.scalars(select(func.count()).where(alive)).one()

    def all(self) -> Sequence[WorkerRow]:
        return self.db.scalars(select(WorkerRow).order_by(WorkerRow.name)).all()
