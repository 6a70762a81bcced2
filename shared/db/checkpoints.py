"""Every query about checkpoints. Callers own the transaction; nothing here commits."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from shared.db.blobs import BlobStore
from shared.db.events import EventStore
from shared.db.ids import new_id
from shared.db.tables import BlobRow, CheckpointRow, ModelVersionRow
from shared.jobs.errors import CheckpointNotFound


class CheckpointStore:
    def __init__(self, db: Session) -> None:
        self.db = db

    def add(self, job_id: str, **columns: Any) -> CheckpointRow:
        row = CheckpointRow(id=new_id("ckpt"), job_id=job_id, **columns)
        self.db.add(row)
        self.db.flush()
        EventStore(self.db).add(job_id, "checkpoint", {"id": row.id, "step": row.step})
        return row

    def get(self, checkpoint_id: str) -> tuple[CheckpointRow, BlobRow]:
        query = select(CheckpointRow, BlobRow).join(BlobRow, CheckpointRow.blob_id == BlobRow.id)
        found = self.db.execute(query.where(CheckpointRow.id == checkpoint_id)).first()
        if found is None:
            raise CheckpointNotFound(checkpoint_id)
        return found[0], found[1]

    def of_job(self, job_id: str) -> list[tuple[CheckpointRow, BlobRow]]:
        """Newest first; a job keeps few."""
        query = select(CheckpointRow, BlobRow).join(BlobRow, CheckpointRow.blob_id == BlobRow.id)
        of_job = query.where(CheckpointRow.job_id == job_id)
        ordered = of_job.order_by(CheckpointRow.step.desc(), CheckpointRow.id.desc())
        return [(row, blob) for row, blob in self.db.execute(ordered)]

    def latest(self, job_id: str) -> CheckpointRow | None:
        """Where the next attempt resumes."""
        query = select(CheckpointRow).where(CheckpointRow.job_id == job_id)
        return self.db.scalars(
            query.order_by(CheckpointRow.step.desc(), CheckpointRow.id.desc()).limit(1)
        ).first()

    def best(self, job_id: str) -> CheckpointRow | None:
        query = select(CheckpointRow).where(CheckpointRow.job_id == job_id, CheckpointRow.is_best)
        return self.db.scalars(query.limit(1)).first()

    def forget_at(self, job_id: str, step: int) -> None:
        """Delete what was saved at this step, because it is saved again."""
        here = (CheckpointRow.job_id == job_id) & (CheckpointRow.step == step)
        gone = delete(CheckpointRow).where(here).returning(CheckpointRow.blob_id)
        BlobStore(self.db).delete_if_unused(self.db.scalars(gone).all())

    def is_there(self, blob_id: str) -> bool:
        """Whether a checkpoint with these bytes was added already."""
        found = select(CheckpointRow.id).where(CheckpointRow.blob_id == blob_id)
        return self.db.scalars(found).first() is not None

    def retain(self, job_id: str, ranked: Sequence[str], keep_last: int) -> None:
        """Keep those in `ranked` (best first), the newest ones and the published; delete the rest."""
        rows = [row for row, _ in self.of_job(job_id)]
        kept = {row.id for row in rows[:keep_last]} | {*ranked} | self.pinned(job_id)
        gone = [row for row in rows if row.id not in kept]
        self.db.execute(
            update(CheckpointRow)
            .where(CheckpointRow.job_id == job_id)
            .values(
                is_best=CheckpointRow.id == (ranked[0] if ranked else ""),
                is_last=CheckpointRow.id == (rows[0].id if rows else ""),
            )
        )
        self.db.execute(delete(CheckpointRow).where(CheckpointRow.id.in_([r.id for r in gone])))
        BlobStore(self.db).delete_if_unused([row.blob_id for row in gone])

    def pinned(self, job_id: str) -> set[str]:
        """Checkpoints of the job that a version of a model was published from."""
        published = select(ModelVersionRow.checkpoint_id).where(
            ModelVersionRow.checkpoint_id.is_not(None)
        )
        query = select(CheckpointRow.id).where(
            CheckpointRow.job_id == job_id, CheckpointRow.id.in_(published)
        )
        return set(self.db.scalars(query))
