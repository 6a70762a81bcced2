"""Every query about a job's events. Callers own the transaction and hold the job's row lock."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from shared.db.tables import EventRow


class EventStore:
    def __init__(self, db: Session) -> None:
        self.db = db

    def add(self, job_id: str, type_: str, data: dict[str, Any]) -> None:
        """`type_` is status, metric, checkpoint or log."""
        self.db.add(EventRow(job_id=job_id, type=type_, data=data))

    def after(self, job_id: str, number: int, limit: int) -> Sequence[EventRow]:
        """Oldest first, because events are a story."""
        query = select(EventRow).where(EventRow.job_id == job_id, EventRow.number > number)
        return self.db.scalars(query.order_by(EventRow.number).limit(limit)).all()

    def last(self, job_id: str, limit: int) -> Sequence[EventRow]:
        """The newest ones, oldest first."""
        query = select(EventRow).where(EventRow.job_id == job_id)
        return self.db.scalars(query.order_by(EventRow.number.desc()).limit(limit)).all()[::-1]
