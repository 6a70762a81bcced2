"""What a job has to tell: events, live and past; curves; checkpoints."""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from services.api.downloads import csv_of, tfevents_of
from services.api.routers.checkpoints import BYTES
from services.api.views import (
    CheckpointView,
    EventView,
    ListView,
    MetricsView,
    SeriesView,
    checkpoint_view,
    event_view,
    list_of,
)
from services.http.errors import NOT_FOUND, STREAM_ERRORS
from shared.db.checkpoints import CheckpointStore
from shared.db.engine import transaction
from shared.db.events import EventStore
from shared.db.ids import event_number
from shared.db.jobs import JobStore
from shared.db.metrics import MetricStore
from shared.jobs.errors import InvalidSpec, shortened
from shared.jobs.states import FINAL

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["progress"], responses=NOT_FOUND)
POLL_S = 0.25
BATCH = 200


def existing_job(job_id: str) -> str:
    """The id of a job that exists; checked before any stream begins."""
    with transaction() as db:
        return JobStore(db).get(job_id).id


JobId = Annotated[str, Depends(existing_job)]
Names = Annotated[str | None, Query(max_length=4000, description="comma-separated; default all")]


@router.get("/events")
def list_events(
    job_id: JobId,
    after: Annotated[str | None, Query(description="id of the last event seen")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> ListView[EventView]:
    """Events in the order in which they happened."""
    number = _number_of(after, "after")
    with transaction() as db:
        rows = EventStore(db).after(job_id, number, limit + 1)
    views = [event_view(row) for row in rows[:limit]]
    return list_of(views, "id", has_more=len(rows) > limit)


@router.get("/events/stream", response_class=EventSourceResponse, responses=STREAM_ERRORS)
async def stream_events(
    job_id: JobId,
    last_event_id: Annotated[str | None, Header(description="go on after this event")] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Events as they happen, to the final status; `Last-Event-ID` goes on after a lost connection."""
    number = event_number(last_event_id or "") or 0
    while True:
        rows, has_ended = await run_in_threadpool(_events_after, job_id, number)
        for event in rows:
            number = event_number(event.id) or number
            yield ServerSentEvent(id=event.id, event=event.type, data=event.data)
        if has_ended and not rows:
            return
        if not rows:
            await asyncio.sleep(POLL_S)


@router.get("/metrics")
def read_metrics(
    job_id: JobId,
    names: Names = None,
    max_points: Annotated[int, Query(ge=2, le=10_000)] = 500,
) -> MetricsView:
    """Curves, in at most about `max_points` points each; no spike is lost."""
    with transaction() as db:
        store = MetricStore(db)
        chosen = _split(names) or store.names(job_id)
        return MetricsView(
            series={name: _series(store, job_id, name, max_points) for name in chosen}
        )


@router.get(
    "/metrics.csv",
    response_class=StreamingResponse,
    responses={**STREAM_ERRORS, 200: {"description": "The points", "content": {"text/csv": {}}}},
)
def download_metrics(job_id: JobId, names: Names = None) -> StreamingResponse:
    """Every point of the curves as CSV."""
    return StreamingResponse(
        csv_of(job_id, _split(names)),
        media_type="text/csv; charset=utf-8",
        headers=_saved_as(f"{job_id}-metrics.csv"),
    )


@router.get(
    "/metrics.tfevents",
    response_class=StreamingResponse,
    responses={**STREAM_ERRORS, 200: {"description": "The points", "content": BYTES}},
)
def download_events(job_id: JobId, names: Names = None) -> StreamingResponse:
    """Every point of the curves as an event file for TensorBoard, with steps and times."""
    with transaction() as db:
        since = JobStore(db).get(job_id).created_at
    return StreamingResponse(
        tfevents_of(job_id, _split(names), since),
        media_type="application/octet-stream",
        headers=_saved_as(f"events.out.tfevents.{job_id}"),
    )


@router.get("/checkpoints")
def list_checkpoints(job_id: JobId) -> ListView[CheckpointView]:
    """What was kept, newest first."""
    with transaction() as db:
        rows = CheckpointStore(db).of_job(job_id)
    return list_of([checkpoint_view(row, blob) for row, blob in rows], "id")


def _events_after(job_id: str, number: int) -> tuple[list[EventView], bool]:
    with transaction() as db:
        # the status first: events committed with the final status are then surely seen
        job = JobStore(db).find(job_id)
        has_ended = job is None or job.status in FINAL
        rows = EventStore(db).after(job_id, number, BATCH)
        return [event_view(row) for row in rows], has_ended


def _number_of(event_id: str | None, param: str) -> int:
    if event_id is None:
        return 0
    number = event_number(event_id)
    if number is None:
        raise InvalidSpec(f"{shortened(event_id)!r} is not the id of an event.", param=param)
    return number


def _split(names: str | None) -> list[str]:
    stripped = [name.strip() for name in (names or "").split(",")]
    return list(dict.fromkeys(name for name in stripped if name))


def _saved_as(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def _series(store: MetricStore, job_id: str, name: str, max_points: int) -> SeriesView:
    rows = store.series(job_id, name, max_points)
    return SeriesView(
        step=[row.step for row in rows],
        value=[row.value if math.isfinite(row.value) else None for row in rows],
        epoch=[row.epoch for row in rows],
        time=[row.time for row in rows],
    )
