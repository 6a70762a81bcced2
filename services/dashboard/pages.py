"""The Jobs page and the page of one job."""

from enum import StrEnum
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from services.dashboard.access import can_change, page_login
from services.dashboard.listing import Wanted, listing
from services.dashboard.rendering import PageRoute, render
from services.dashboard.views import network, words
from services.dashboard.views.before import compared_with_before
from services.dashboard.views.checkpoints import checkpoint_lines
from services.dashboard.views.events import lines_of
from services.dashboard.views.job import job_page_view
from services.dashboard.views.rows import BLANK
from services.dashboard.views.snippets import snippets, without_defaults
from shared.db.datasets import DatasetStore
from shared.db.engine import transaction
from shared.db.events import EventStore
from shared.db.experiments import ExperimentStore
from shared.db.jobs import JobStore
from shared.db.tables import JobRow
from shared.db.viewer import NO_OWNER, current_owner
from shared.jobs.states import JobStatus
from shared.nn.spec import CELL_SPECS, Mapping

router = APIRouter(
    route_class=PageRoute, dependencies=[Depends(page_login)], include_in_schema=False
)
LAST_LINES = 8
LOG_LINES = 500


class Tab(StrEnum):
    OVERVIEW = "overview"
    LOG = "log"
    CHECKPOINTS = "checkpoints"
    SPEC = "spec"
    EVENTS = "events"


@router.get("/", response_class=HTMLResponse)
def jobs_page(request: Request, wanted: Wanted) -> HTMLResponse:
    with transaction() as db:
        view = listing(db, wanted)
        datasets = DatasetStore(db).names()
    options = {
        "status": [(status.value, status.value) for status in JobStatus],
        "cell": [(cell, cell) for cell in CELL_SPECS],
        "mapping": [(value, words.mapping({"mapping": value})) for value in Mapping],
        "dataset": [(name, name) for name in datasets],
    }
    return render(
        "jobs.html",
        may_change=can_change(request),
        view=view,
        wanted=wanted,
        options=options,
        blank=BLANK,
    )


@router.get("/jobs/{job_id}", response_class=HTMLResponse)
def job_page(request: Request, job_id: str) -> HTMLResponse:
    return _job(request, job_id, Tab.OVERVIEW)


@router.get("/jobs/{job_id}/{tab}", response_class=HTMLResponse)
def job_tab(request: Request, job_id: str, tab: Tab) -> HTMLResponse:
    return _job(request, job_id, tab)


def _job(request: Request, job_id: str, tab: Tab) -> HTMLResponse:
    with transaction() as db:
        row = JobStore(db).get(job_id)
        view = job_page_view(db, row)
        more = CONTENT[tab](db, request, row)
        experiment = ExperimentStore(db).find(row.experiment_id) if row.experiment_id else None
    tabs = [(each.value, "" if each is Tab.OVERVIEW else f"/{each}") for each in Tab]
    return render(
        f"job_{tab}.html",
        may_change=can_change(request),
        job=view,
        experiment=experiment,
        icons=words.ICONS,
        tab=tab.value,
        tabs=tabs,
        **more,
    )


def _overview(db: Session, request: Request, row: JobRow) -> dict[str, Any]:
    url = str(request.base_url).rstrip("/")
    return {
        "facts": _facts(db, row),
        "drawing": network.draw(row.spec),
        "snippets": snippets(row.spec, url, needs_key=current_owner() != NO_OWNER),
        "lines": lines_of(EventStore(db).last(row.id, LAST_LINES)),
        "before": compared_with_before(db, row),
    }


def _log(db: Session, request: Request, row: JobRow) -> dict[str, Any]:
    return {"lines": lines_of(EventStore(db).last(row.id, LOG_LINES))}


def _checkpoints(db: Session, request: Request, row: JobRow) -> dict[str, Any]:
    return {"checkpoints": checkpoint_lines(db, row.id)}


def _spec(db: Session, request: Request, row: JobRow) -> dict[str, Any]:
    return {"spec": row.spec, "short": without_defaults(row.spec)}


CONTENT = {
    Tab.OVERVIEW: _overview,
    Tab.LOG: _log,
    Tab.CHECKPOINTS: _checkpoints,
    Tab.SPEC: _spec,
    Tab.EVENTS: _log,
}


def _facts(db: Session, row: JobRow) -> list[tuple[str, str]]:
    """What was asked for, in short."""
    wish, training = row.spec["network"], row.spec["training"]
    dataset = DatasetStore(db).find(row.dataset_id) if row.dataset_id else None
    optimizer = training["optimizer"]
    return [
        ("Dataset", dataset.name if dataset else f"{row.spec['dataset']} (deleted)"),
        ("Mapping", words.mapping(row.spec)),
        ("Cell", str(wish["cell"]["type"])),
        ("Layers", words.number(wish["num_layers"])),
        ("Hidden size", words.units(wish["hidden_size"])),
        ("Dropout", words.number(wish["dropout"])),
        ("Optimizer", f"{optimizer['type']}, lr {words.number(optimizer['lr'])}"),
        ("Batch size", words.number(training["batch_size"])),
        ("Loss", str(training["loss"]).replace("_", " ")),
        ("Seed", str(training["seed"])),
        ("Parameters", words.number(row.estimate["num_parameters"])),
    ]
