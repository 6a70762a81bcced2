"""The page that lays several jobs over one another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from services.dashboard.access import LOOKS, can_change, data_login, page_login
from services.dashboard.answers import conditional, part_text
from services.dashboard.rendering import PageRoute, render
from services.dashboard.views.logdiff import MAX_LINES, Pair, Part, log_diff
from services.dashboard.views.overlay import DASHES, MAX_JOBS, compared, overlay
from shared.db.engine import transaction
from shared.db.jobs import JobStore
from shared.db.tables import JobRow

pages = APIRouter(route_class=PageRoute, dependencies=[Depends(page_login)])
data = APIRouter(prefix="/ui/compare", dependencies=[Depends(data_login)])
Ids = Annotated[str, Query(max_length=2000)]
Metric = Annotated[str, Query(max_length=200)]
JobId = Annotated[str, Form(max_length=100)]


@dataclass(frozen=True, slots=True)
class Logs:
    """Two jobs, and the lines of them that are laid side by side."""

    left: JobRow
    right: JobRow
    pairs: list[Pair]


@pages.get("/compare", response_class=HTMLResponse)
def compare_page(request: Request, ids: Ids = "", metric: Metric = "") -> HTMLResponse:
    """Jobs by id, commas between; at most six are shown, and the logs of the first two."""
    wanted = _split(ids)
    with transaction() as db:
        jobs = _jobs(db, wanted)
        view = compared(db, jobs) if jobs else None
        logs = _logs(db, jobs[0], jobs[1], "last") if len(jobs) > 1 else None
    return render(
        "compare.html",
        may_change=can_change(request),
        view=view,
        logs=logs,
        max_lines=MAX_LINES,
        ids=[job.id for job in jobs],
        gone=[each for each in wanted if each not in {job.id for job in jobs}],
        left_out=max(0, len(_all(ids)) - MAX_JOBS),
        dashes=DASHES,
    )


@data.get("")
def compared_curves(request: Request, ids: Ids = "", metric: Metric = "") -> Response:
    with transaction() as db:
        return conditional(request, overlay(db, _jobs(db, _split(ids)), metric))


@data.post("/logs", response_class=HTMLResponse, dependencies=LOOKS)
def compared_logs(left: JobId, right: JobId, lines: Annotated[Part, Form()]) -> HTMLResponse:
    """The logs of two jobs by their ids, the last lines or the first."""
    with transaction() as db:
        store = JobStore(db)
        return HTMLResponse(
            part_text("logs", logs=_logs(db, store.get(left), store.get(right), lines))
        )


def _logs(db: Session, left: JobRow, right: JobRow, part: Part) -> Logs:
    return Logs(left, right, log_diff(db, left, right, part))


def _all(ids: str) -> list[str]:
    return list(dict.fromkeys(filter(None, map(str.strip, ids.split(",")))))


def _split(ids: str) -> list[str]:
    return _all(ids)[:MAX_JOBS]


def _jobs(db: Session, ids: Sequence[str]) -> list[JobRow]:
    """Those that there are, in the order asked for."""
    store = JobStore(db)
    return [job for job in map(store.find, ids) if job is not None]
