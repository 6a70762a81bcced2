"""The page of workers and of the queue before them."""

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse

from services.dashboard.access import CHANGES, can_change, data_login, page_login
from services.dashboard.answers import conditional_part
from services.dashboard.rendering import PageRoute, render
from services.dashboard.views.workers import WorkersView, workers_view
from shared.config import get_settings
from shared.db.engine import transaction
from shared.db.workers import WorkerStore

pages = APIRouter(route_class=PageRoute, dependencies=[Depends(page_login)])
data = APIRouter(prefix="/ui/workers", dependencies=[Depends(data_login)])


def _view() -> WorkersView:
    with transaction() as db:
        return workers_view(db)


@pages.get("/workers", response_class=HTMLResponse)
def workers_page(request: Request) -> HTMLResponse:
    return render("workers.html", view=_view(), may_change=can_change(request))


@data.get("")
def workers_part(request: Request) -> Response:
    return conditional_part(request, "workers", view=_view(), may_change=can_change(request))


@data.post("/{name}/forget", status_code=204, dependencies=CHANGES)
def forget_worker(name: str) -> None:
    """Take a lost worker off the list; one that still beats comes back by itself."""
    with transaction() as db:
        WorkerStore(db).forget(name, get_settings().lease_s)
