"""The page that asks for a new job, and the preview of what is chosen there."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from services.api.routers import jobs as api
from services.api.submit import dry_run
from services.dashboard.access import CHANGES, LOOKS, can_change, data_login, page_login
from services.dashboard.answers import part_text
from services.dashboard.datasets import UPLOAD_CHOICES
from services.dashboard.rendering import PageRoute, error_page, render
from services.dashboard.views import network, words
from services.dashboard.views.datasets import DatasetLine, dataset_line, unused_builtins
from services.dashboard.views.options import (
    carried,
    cell_choices,
    optimizer_choices,
    schedule_choices,
)
from services.dashboard.views.snippets import snippets
from services.dashboard.views.starts import EXAMPLES, Start, blank_start, example_start, job_start
from shared.db.datasets import DatasetStore
from shared.db.engine import transaction
from shared.db.jobs import JobStore
from shared.db.viewer import NO_OWNER, current_owner
from shared.jobs.errors import NotFound, shortened
from shared.jobs.schedules import SCHEDULE_SPECS
from shared.jobs.spec import OPTIMIZER_SPECS, JobSpec, LossName
from shared.nn.spec import Attention, Mapping, Merge, Readout

pages = APIRouter(route_class=PageRoute, dependencies=[Depends(page_login)])
data = APIRouter(prefix="/ui", dependencies=[Depends(data_login)])
MAX_DATASETS = 100  # newest ones that the list offers
CHOICES: dict[str, list[str]] = {
    "mapping": [str(each) for each in Mapping],
    "merge": [str(each) for each in Merge],
    "readout": [str(each) for each in Readout],
    "attention": [str(each) for each in Attention],
    "optimizer": list(OPTIMIZER_SPECS),
    "schedule": list(SCHEDULE_SPECS),
    "mode": ["min", "max"],
    "loss": list(LossName.__args__),  # type: ignore[attr-defined]
    "device": ["auto", "cpu", "cuda"],
}
Text = Annotated[str, Query(max_length=200)]


@pages.get("/jobs/new", response_class=HTMLResponse)
def new_job_page(
    request: Request,
    start: Annotated[str, Query(alias="from", max_length=200)] = "",
    dataset: Text = "",
    slower: Annotated[int, Query(ge=1, le=1000)] = 1,
) -> HTMLResponse:
    """The form, filled from `example:NAME`, from the id of a job, or with defaults.

    A job's learning rates are divided by `slower`.
    """
    if not can_change(request):
        message = "The key that you logged in with may look, and not submit. Log in with another."
        return error_page(403, "Read only", message)
    with transaction() as db:
        begun = _start(db, start, slower)
        offered = _datasets(db, dataset or begun.spec["dataset"])
    chosen = next(
        (each.name for each in offered if dataset and dataset in (each.id, each.name)), None
    )
    spec = {
        **begun.spec,
        **({"dataset": chosen, "mapping": None, "alignment": None} if chosen else {}),
    }
    return render(
        "newjob.html",
        may_change=True,
        start=begun,
        spec=spec,
        network=spec["network"],
        training=spec["training"],
        cells=cell_choices(spec["network"]["cell"]),
        optimizers=optimizer_choices(spec["training"]["optimizer"]),
        schedules=schedule_choices(spec["training"]["schedule"]),
        carried=carried(spec),
        datasets=offered,
        examples=EXAMPLES,
        choices=CHOICES,
        upload_choices=UPLOAD_CHOICES,
    )


def _start(db: Session, name: str, slower: int) -> Start:
    """Raises `NotFound` for what is neither an example nor a job."""
    if not name:
        return blank_start()
    kind, _, rest = name.partition(":")
    if kind != "example":
        return job_start(JobStore(db).get(name), slower)
    found = example_start(rest)
    if found is None:
        raise NotFound(f"There is no example {shortened(rest)!r}.")
    return found


def _datasets(db: Session, chosen: str) -> list[DatasetLine]:
    """The newest ones, and the chosen one however old it is."""
    store = DatasetStore(db)
    rows = list(store.page(None, MAX_DATASETS).rows)
    found = store.find(chosen)
    if found is not None and found.id not in {row.id for row in rows}:
        rows.append(found)
    return [*map(dataset_line, rows), *unused_builtins(store.names())]


@data.post("/preview", dependencies=LOOKS)
def preview(request: Request, spec: JobSpec) -> Response:
    """What the job would be and cost, drawn and as code; faults come as from the API."""
    view = dry_run(spec)
    facts = [
        ("Parameters", words.number(view.num_parameters)),
        ("Steps", words.number(view.steps)),
        ("Time", f"{words.about(view.estimated_duration_s)} ({view.duration_basis})"),
        ("Memory", f"~{words.size(view.estimated_memory_bytes)}"),
        ("Mapping", words.mapping(view.spec)),
        ("Loss", str(view.spec["training"]["loss"]).replace("_", " ")),
    ]
    url = str(request.base_url).rstrip("/")
    wish: dict[str, Any] = spec.model_dump(mode="json")
    text = part_text(
        "preview",
        facts=facts,
        drawing=network.draw(view.spec),
        snippets=snippets(wish, url, needs_key=current_owner() != NO_OWNER),
    )
    return HTMLResponse(text)


# The same request as programs make, with the cookie in the place of a key.
data.add_api_route("/jobs", api.create_job, methods=["POST"], status_code=201, dependencies=CHANGES)
