"""The page that lays several jobs over one another."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from services.dashboard.access import can_change, data_login, page_login
from services.dashboard.answers import conditional
from services.dashboard.rendering import PageRoute, render
from services.dashboard.views.overlay import DASHES, MAX_JOBS, compared, overlay
from shared.db.engine import transaction
from shared.db.jobs import JobStore
from shared.db.tables import JobRow

pages = APIRouter(route_class=PageRoute, dependencies=[Depends(page_login)])
data = APIRouter(prefix="/ui/compare", dependencies=[Depends(data_login)])
Ids = Annotated[str, Query(max_length=2000)]
Metric = Annotated[str, Query(max_length=200)]


@pages.get("/compare", response_class=HTMLResponse)
def compare_page(request: Request, ids: Ids = "", metric: Metric = "") -> HTMLResponse:
    """Jobs by id, commas between; at most six are shown."""
    wanted = _split(ids)
    with transaction() as db:
        jobs = _jobs(db, wanted)
        view = compared(db, jobs) if jobs else None
    return render(
        "compare.html",
        may_change=can_change(request),
        view=view,
        ids=[job.id for job in jobs],
        gone=[each for each in wanted if each not in {job.id for job in jobs}],
        left_out=max(0, len(_all(ids)) - MAX_JOBS),
        dashes=DASHES,
    )


@data.get("")
def compared_curves(request: Request, ids: Ids = "", metric: Metric = "") -> Response:
    with transaction() as db:
        return conditional(request, overlay(db, _jobs(db, _split(ids)), metric))


def _all(ids: str) -> list[str]:
    return list(dict.fromkeys(filter(None, map(str.strip, ids.split(",")))))


def _split(ids: str) -> list[str]:
    return _all(ids)[:MAX_JOBS]


def _jobs(db: Session, ids: Sequence[str]) -> list[JobRow]:
    """Those that there are, in the order asked for."""
    store = JobStore(db)
    return [job for job in map(store.find, ids) if job is not None]
