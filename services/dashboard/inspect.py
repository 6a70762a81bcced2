"""The page that shows what the gates of a model do while it reads."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse

from services.dashboard.access import INFERS, can_change, can_infer, data_login, page_login
from services.dashboard.answers import part_text
from services.dashboard.inference import ask
from services.dashboard.models import (
    Short,
    Text,
    VersionWanted,
    as_part,
    sample_of,
    version_path,
)
from services.dashboard.rendering import PageRoute, render
from services.dashboard.views import raw
from services.dashboard.views.gates import SORTS, trace_view
from shared.db.engine import transaction
from shared.db.models import LATEST, ModelStore

pages = APIRouter(route_class=PageRoute, dependencies=[Depends(page_login)])
data = APIRouter(prefix="/ui/models", dependencies=[Depends(data_login)])


@pages.get("/models/{name}/inspect", response_class=HTMLResponse)
def inspect_page(request: Request, name: str, version: VersionWanted = LATEST) -> HTMLResponse:
    with transaction() as db:
        row = ModelStore(db).version(name, version)
        sample = sample_of(db, row)
    part = row.encoding["input"]
    return render(
        "inspect.html",
        may_change=can_change(request),
        may_infer=can_infer(request),
        name=name,
        version=row.version,
        part=part,
        hint=raw.hint(part),
        sample=raw.typed(sample),
    )


@data.post("/{name}/trace", response_class=HTMLResponse, dependencies=INFERS)
@as_part
def trace(
    request: Request,
    name: str,
    text: Text = "",
    version: Short = LATEST,
    layer: Short = "",
    show: Short = "",
    sort: Short = SORTS[0],
    unit: Annotated[int, Form(ge=0, le=100_000)] = 0,
    step: Annotated[int, Form(ge=0, le=1_000_000)] = 0,
) -> HTMLResponse:
    """The chosen layer of a traced input, gate by gate; one unit step by step, and at one step."""
    with transaction() as db:
        row = ModelStore(db).version(name, version)
    value = raw.parse(row.encoding["input"], text)
    found = ask(request, version_path(name, row.version, "trace"), {"input": value})
    view = trace_view(found, layer, show, unit, sort, step)
    return HTMLResponse(part_text("trace", view=view, sorts=SORTS, sort=sort))
