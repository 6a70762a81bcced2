"""Jobs with what their views need beside the row: attempts and the place in the queue."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from services.api.views import JobView, job_view
from shared.db.jobs import JobStore
from shared.db.queue import QueueStore
from shared.db.tables import JobRow


def views_of(db: Session, jobs: Sequence[JobRow]) -> list[JobView]:
    store = JobStore(db)
    attempts = store.attempts([job.id for job in jobs])
    standings = QueueStore(db).standings(jobs)
    return [job_view(job, attempts[job.id], standings.get(job.id)) for job in jobs]


def view_of(db: Session, job: JobRow) -> JobView:
    return views_of(db, [job])[0]
