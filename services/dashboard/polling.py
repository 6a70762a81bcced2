"""What pages fetch: JSON that answers 304 while nothing has changed; the verbs of pages."""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from services.api.routers.checkpoints import download_checkpoint
from services.api.routers.progress import JobId, download_metrics
from services.api.submit import act
from services.dashboard.access import CHANGES, data_login
from services.dashboard.answers import conditional
from services.dashboard.listing import Wanted, listing
from services.dashboard.views.checkpoints import CheckpointLine, checkpoint_lines
from services.dashboard.views.curves import CurvesView, curves_view
from services.dashboard.views.events import LineView, as_text, lines_of
from services.dashboard.views.job import JobPageView, job_page_view
from shared.db.engine import transaction
from shared.db.events import EventStore
from shared.db.jobs import JobStore
from shared.db.tables import EventRow
from shared.jobs.errors import InvalidSpec
from shared.jobs.states import Verb

router = APIRouter(prefix="/ui", dependencies=[Depends(data_login)], include_in_schema=False)
MAX_LINES = 200
LOG_PAGE = 1000  # events
SEEN = re.compile(r"^(.{1,200}):(\d{1,18})$")
Part = Literal["curves", "events", "checkpoints"]


class JobState(BaseModel):
    job: JobPageView
    curves: CurvesView | None = None
    events: list[LineView] | None = None
    checkpoints: list[CheckpointLine] | None = None


@router.get("/jobs")
def list_rows(request: Request, wanted: Wanted) -> Response:
    with transaction() as db:
        return conditional(request, listing(db, wanted))


@router.get("/jobs/{job_id}")
def job_state(
    request: Request,
    job_id: str,
    part: Annotated[list[Part] | None, Query()] = None,
    charts: Annotated[str, Query(max_length=1000)] = "",
    after: Annotated[list[str] | None, Query(max_length=100)] = None,
    after_event: Annotated[int, Query(ge=0, lt=2**63)] = 0,
) -> Response:
    """The job, and what is new in the parts of it that the page shows.

    `after` holds `name:step` for each curve that the page has up to that step.
    """
    parts = part or []
    with transaction() as db:
        job = JobStore(db).get(job_id)
        state = JobState(job=job_page_view(db, job))
        if "curves" in parts:
            state.curves = curves_view(db, job, charts.split(","), _seen(after or []))
        if "events" in parts:
            state.events = lines_of(EventStore(db).after(job_id, after_event, MAX_LINES))
        if "checkpoints" in parts:
            state.checkpoints = checkpoint_lines(db, job_id)
    return conditional(request, state)


def _seen(after: list[str]) -> dict[str, int]:
    found = {}
    for mark in after:
        match = SEEN.match(mark)
        if match is None:
            raise InvalidSpec("Write after=name:step.", param="after")
        found[match[1]] = int(match[2])
    return found


@router.post("/jobs/{job_id}/{verb}", dependencies=CHANGES)
def act_on_job(job_id: str, verb: Verb) -> JobPageView:
    act(job_id, verb)
    with transaction() as db:
        return job_page_view(db, JobStore(db).get(job_id))


@router.get("/jobs/{job_id}/log.txt", response_class=StreamingResponse)
def download_log(job_id: JobId) -> StreamingResponse:
    """Every event as a line of text."""
    disposition = f'attachment; filename="{job_id}.log"'
    headers = {"Content-Disposition": disposition}
    return StreamingResponse(_log(job_id), media_type="text/plain; charset=utf-8", headers=headers)


def _log(job_id: str) -> Iterator[str]:
    """Text a page at a time, each read in a transaction of its own: a slow client holds none."""
    number = 0
    while rows := _log_page(job_id, number):
        yield "".join(map(as_text, rows))
        number = rows[-1].number


def _log_page(job_id: str, after: int) -> Sequence[EventRow]:
    with transaction() as db:
        return EventStore(db).after(job_id, after, LOG_PAGE)


# Links of a page carry the cookie, not the key that the API asks for.
router.add_api_route("/jobs/{job_id}/metrics.csv", download_metrics)
router.add_api_route("/checkpoints/{checkpoint_id}/download", download_checkpoint)
