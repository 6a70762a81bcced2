"""Datasets: list, show, preview, upload, delete."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Header, Query, Response, UploadFile
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Scope

from services.api.parameters import PageOfDatasets
from services.api.sources import described, filename_of, opened
from services.api.uploads import Answer, Upload, parse_options, store_upload
from services.api.views import DatasetView, ListView, dataset_view, list_of
from services.http.auth import Owner
from services.http.bodies import is_json
from services.http.errors import CONFLICT, NOT_FOUND, TOO_MANY
from shared.data.options import DatasetOptions
from shared.data.table import DatasetTable
from shared.db.datasets import DatasetStore
from shared.db.engine import transaction
from shared.db.seed import find_dataset

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])
DatasetName = Annotated[
    str, StringConstraints(strip_whitespace=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._ -]{0,127}$")
]
Format = Literal["auto", "jsonl", "csv", "text", "npz", "parquet"]
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=200)]
SAME: dict[int | str, dict[str, Any]] = {
    200: {"description": "Yours already, from the same bytes and options, whatever its name"}
}


@router.get("")
def list_datasets(page: PageOfDatasets) -> ListView[DatasetView]:
    """Uploaded and built-in datasets, newest first."""
    with transaction() as db:
        found = DatasetStore(db).page(page.after, page.limit)
    views = [dataset_view(row) for row in found.rows]
    return list_of(views, "id", has_more=found.has_more)


class DatasetOfUrl(BaseModel):
    """A dataset to be read from a URL that the operator allows."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[
        str, StringConstraints(max_length=2000, pattern=r"^[a-z0-9]+://[^\s\\\x00-\x1f]+$")
    ]
    name: DatasetName
    format: Format = "auto"
    options: DatasetOptions = DatasetOptions()


class JsonRoute(APIRoute):
    """A route for JSON bodies, beside one of the same path for forms."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http" and not is_json(Headers(scope=scope)):
            return Match.NONE, {}
        return super().matches(scope)


def fetch_dataset(
    owner: Owner,
    response: Response,
    wanted: DatasetOfUrl,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """The same from a URL: `{"url", "name", "format", "options"}`."""
    with opened(wanted.url) as file:
        about = {"url": described(wanted.url)}
        upload = Upload(
            file, filename_of(wanted.url), wanted.name, wanted.format, wanted.options, about
        )
        return _answered(store_upload(upload, owner, idempotency_key), response)


router.add_api_route(
    "",
    fetch_dataset,
    methods=["POST"],
    status_code=201,
    route_class_override=JsonRoute,
    include_in_schema=False,  # described with the form below: both are one operation
)


def _described_body() -> dict[str, Any]:
    """The JSON body for the OpenAPI, with the options in place: nothing else refers to them."""
    schema = DatasetOfUrl.model_json_schema()
    schema["properties"]["options"] = schema.pop("$defs")["DatasetOptions"]
    return {"requestBody": {"content": {"application/json": {"schema": schema}}}}


@router.post(
    "", status_code=201, openapi_extra=_described_body(), responses={**SAME, **CONFLICT, **TOO_MANY}
)
def upload_dataset(
    owner: Owner,
    response: Response,
    file: Annotated[UploadFile, File(description="JSONL, CSV, plain text, NPZ or Parquet")],
    name: Annotated[DatasetName, Form(description="letters, digits, space, `.`, `_`, `-`")],
    format: Annotated[Format, Form()] = "auto",
    options: Annotated[str, Form(max_length=10_000, description="JSON text")] = "{}",
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Check, split and store a dataset; nothing remains of one with a fault.

    Instead of the form, JSON with `url`, `name`, `format` and `options` has it read from a URL.
    """
    upload = Upload(file.file, file.filename or "", name, format, parse_options(options))
    return _answered(store_upload(upload, owner, idempotency_key), response)


def _answered(answer: Answer, response: Response) -> dict[str, Any]:
    response.status_code = 201 if answer.is_new else 200
    return answer.dataset


@router.get("/{dataset}", responses=NOT_FOUND)
def show_dataset(dataset: str) -> DatasetView:
    """A dataset by id or name."""
    with transaction() as db:
        return dataset_view(find_dataset(db, dataset))


@router.get("/{dataset}/preview", responses=NOT_FOUND)
def preview_dataset(
    dataset: str,
    split: Literal["train", "val", "test"] = "train",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> dict[str, Any]:
    """The first records of a split, as they would be written in JSONL."""
    with transaction() as db:
        row = find_dataset(db, dataset)
        data = DatasetStore(db).read(row)
    return {
        "object": "preview",
        "split": split,
        "data": DatasetTable.open(memoryview(data)).preview(split, limit),
    }


@router.delete("/{dataset}", status_code=204, responses={**NOT_FOUND, **CONFLICT})
def delete_dataset(dataset: str) -> None:
    """Delete an uploaded dataset that no unfinished job needs."""
    with transaction() as db:
        DatasetStore(db).delete(dataset)
