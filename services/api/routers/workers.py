"""Workers and the queue before them."""

from fastapi import APIRouter

from services.api.views import ListView, list_of
from services.api.workers_view import QueueView, WorkerView, worker_view
from shared.db.engine import transaction
from shared.db.jobs import JobStore
from shared.db.workers import WorkerStore

router = APIRouter(prefix="/v1", tags=["workers"])


@router.get("/workers")
def list_workers() -> ListView[WorkerView]:
    """Who is there, with what device, busy with what."""
    with transaction() as db:
        rows = WorkerStore(db).all()
        seen = JobStore(db).seen([row.job_id for row in rows if row.job_id])
    return list_of([worker_view(row, seen) for row in rows], "name")


@router.get("/queue")
def show_queue() -> QueueView:
    """How many jobs wait at each priority, and for how long the oldest does."""
    with transaction() as db:
        return QueueView(**JobStore(db).queue())
