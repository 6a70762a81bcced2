"""A job's checkpoints as lines of a table."""

from datetime import datetime

from pydantic import BaseModel
from sqlalchemy.orm import Session

from services.dashboard.views import words
from shared.db.checkpoints import CheckpointStore
from shared.db.tables import BlobRow, CheckpointRow


class CheckpointLine(BaseModel):
    id: str
    step: str
    epoch: str
    kept: str
    """Why it is kept: best, last."""
    metrics: str
    size: str
    sha256: str
    created_at: datetime
    href: str


def checkpoint_lines(db: Session, job_id: str) -> list[CheckpointLine]:
    return [_line(row, blob) for row, blob in CheckpointStore(db).of_job(job_id)]


def _line(row: CheckpointRow, blob: BlobRow) -> CheckpointLine:
    kept = [word for word, is_so in (("best", row.is_best), ("last", row.is_last)) if is_so]
    said = [f"{name} {words.number(value)}" for name, value in sorted(row.metrics.items())]
    return CheckpointLine(
        id=row.id,
        step=words.number(row.step),
        epoch=words.number(row.epoch),
        kept=", ".join(kept),
        metrics=" · ".join(said),
        size=words.size(blob.bytes),
        sha256=blob.sha256,
        created_at=row.created_at,
        href=f"/ui/checkpoints/{row.id}/download",
    )
