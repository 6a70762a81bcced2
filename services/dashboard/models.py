"""The pages of models: what is published, and a form that tries one."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import AfterValidator
from sqlalchemy.orm import Session

from services.api.parameters import Paging
from services.api.routers import models as api
from services.api.routers.datasets import preview_dataset
from services.dashboard.access import CHANGES, INFERS, can_change, can_infer, data_login, page_login
from services.dashboard.answers import part_text
from services.dashboard.inference import Refused, ask
from services.dashboard.rendering import PageRoute, render
from services.dashboard.views import raw
from services.dashboard.views.answers import answer_view, steps_read, steps_written, took_words
from services.dashboard.views.models import (
    learnt_from,
    model_line,
    snippets,
    symbols_of,
    version_lines,
)
from services.dashboard.views.unknown import unknown_view
from shared.db.datasets import DatasetStore
from shared.db.engine import transaction
from shared.db.models import ALIAS, LATEST, ModelStore
from shared.db.tables import ModelVersionRow
from shared.db.viewer import NO_OWNER, current_owner
from shared.jobs.errors import InvalidSpec

pages = APIRouter(route_class=PageRoute, dependencies=[Depends(page_login)])
data = APIRouter(prefix="/ui/models", dependencies=[Depends(data_login)])
PAGE_SIZE = 50
LARGE_BYTES = 8 * 2**20  # a dataset that is not read for the sake of an example
MAX_TEXT = 100_000
USUAL_STEPS = 8  # of a series that no dataset gives an example of
OPTIONS: dict[str, Callable[[str], float]] = {
    "max_length": int,
    "temperature": float,
    "top_k": int,
    "seed": int,
}
VersionWanted = Annotated[str, Query(max_length=100)]
Text = Annotated[str, Form(max_length=MAX_TEXT)]
Short = Annotated[str, Form(max_length=100)]


@pages.get("/models", response_class=HTMLResponse)
def models_page(
    request: Request, after: Annotated[str, Query(max_length=200)] = ""
) -> HTMLResponse:
    found = api.list_models(Paging(after or None, PAGE_SIZE))
    return render(
        "models.html",
        may_change=can_change(request),
        lines=[model_line(each) for each in found.data],
        older=found.last_id if found.has_more else None,
        newer=bool(after),
    )


@pages.get("/models/{name}", response_class=HTMLResponse)
def model_page(request: Request, name: str, version: VersionWanted = LATEST) -> HTMLResponse:
    view = api.show_model(name)
    with transaction() as db:
        row = ModelStore(db).version(name, version)
        sample = sample_of(db, row)
        dataset = DatasetStore(db).find(row.dataset)
        learnt = learnt_from(dataset) if dataset else None
    options = {"max_length": 100, "temperature": 0.7, "seed": 1} if _continues(row.encoding) else {}
    return render(
        "model.html",
        may_change=can_change(request),
        may_infer=can_infer(request),
        model=view,
        versions=version_lines(view),
        shown=row.version,
        learnt=learnt,
        wanted=version,
        part=row.encoding["input"],
        hint=raw.hint(row.encoding["input"]),
        target=row.encoding["target"]["kind"],
        options=options if _writes(row.encoding) else None,
        has_layers=row.shape["mapping"] != "one_to_one",
        sample=raw.typed(sample),
        snippets=snippets(name, sample, options, needs_key=current_owner() != NO_OWNER),
    )


def _continues(encoding: dict[str, Any]) -> bool:
    """Whether it goes on with a text, which it does only when told for how long."""
    return bool(encoding["target"]["kind"] == "next" and encoding["input"]["kind"] == "tokens")


def _writes(encoding: dict[str, Any]) -> bool:
    return _continues(encoding) or encoding["target"]["kind"] in ("text", "series")


def sample_of(db: Session, row: ModelVersionRow) -> Any:
    """An input to begin with: one that training did not see, where the dataset still has one."""
    dataset = DatasetStore(db).find(row.dataset)
    if dataset is not None and dataset.bytes <= LARGE_BYTES:
        for split in ("test", "val", "train"):
            records = preview_dataset(dataset.id, split, 1)["data"]
            if records:
                value = records[0]["input"]
                is_stream = row.encoding["stream"] and isinstance(value, str)
                return value[:40] if is_stream else value
    return _usual(row.encoding["input"])


def _usual(part: dict[str, Any]) -> Any:
    """An input of nothing but what was usual in training: its first symbol, its means."""
    if "symbols" in part:
        symbol = part["symbols"][min(1, len(part["symbols"]) - 1)]
        return [symbol] if part.get("tokens") == "list" else symbol
    if part["kind"] == "vector":
        return part["mean"]
    return (part["mean"] if part["size"] == 1 else [part["mean"]]) * USUAL_STEPS


def as_part(show: Callable[..., HTMLResponse]) -> Callable[..., HTMLResponse]:
    """What is refused becomes a part of the page too, that says why."""

    @wraps(show)
    def shown(*args: Any, **kwargs: Any) -> HTMLResponse:
        try:
            return show(*args, **kwargs)
        except Refused as fault:
            return HTMLResponse(part_text("refused", fault=fault))
        except InvalidSpec as error:
            wrong = Refused("Refused", str(error), "Mend the input and try again.")
            return HTMLResponse(part_text("refused", fault=wrong))

    return shown


@data.post("/{name}/alias", response_class=HTMLResponse, dependencies=CHANGES)
def set_alias(
    name: str,
    alias: Annotated[str, Form(pattern=ALIAS), AfterValidator(api.not_latest)],
    version: Annotated[int, Form(ge=1, le=api.MAX_VERSION)],
    shown: Annotated[int, Form(ge=1, le=api.MAX_VERSION)],
) -> HTMLResponse:
    """Point an alias to a version; answers the part of the page that shows the versions."""
    api.set_alias(name, alias, api.AliasRequest(version=version))
    view = api.show_model(name)
    lines = version_lines(view)
    part = part_text("versions", model=view, versions=lines, shown=shown, may_change=True)
    return HTMLResponse(part)


data.add_api_route(
    "/{name}/aliases/{alias}",
    api.delete_alias,
    methods=["DELETE"],
    status_code=204,
    dependencies=CHANGES,
)


@data.post("/{name}/predict", response_class=HTMLResponse, dependencies=INFERS)
@as_part
def predict(
    request: Request,
    name: str,
    text: Text = "",
    version: Short = LATEST,
    max_length: Short = "",
    temperature: Short = "",
    top_k: Short = "",
    seed: Short = "",
) -> HTMLResponse:
    """What the model answers to what was typed, with the same request as code."""
    with transaction() as db:
        row = ModelStore(db).version(name, version)
    part = row.encoding["input"]
    value = raw.parse(part, text)
    given = {"max_length": max_length, "temperature": temperature, "top_k": top_k, "seed": seed}
    options = chosen(given)
    body: dict[str, Any] = {"inputs": [value]}
    if options:
        body["options"] = options
    began = time.perf_counter()
    answer = ask(request, version_path(name, row.version, "predict"), body)
    took_ms = 1000 * (time.perf_counter() - began)
    output, symbols = answer["outputs"][0], symbols_of(part, value)
    steps = steps_read(part, value) + (
        steps_written(row.encoding, output) if _writes(row.encoding) else 0
    )
    return HTMLResponse(
        part_text(
            "answer",
            answer=answer_view(output, symbols),
            unknown=unknown_view(part, symbols),
            version=answer["version"],
            took=took_words(took_ms, steps),
            snippets=snippets(name, value, options, needs_key=current_owner() != NO_OWNER),
        )
    )


def version_path(name: str, version: int, verb: str) -> str:
    return f"/v1/models/{quote(name, safe='')}/versions/{version}/{verb}"


def chosen(given: dict[str, str]) -> dict[str, float]:
    """The options that were filled in; raises `InvalidSpec` for what is no number."""
    found = {}
    for name, text in given.items():
        if not text.strip():
            continue
        try:
            found[name] = OPTIONS[name](text)
        except ValueError as error:
            message = f"{name}: {text[:40]!r} is no number that fits here."
            raise InvalidSpec(message, param=name) from error
    return found
