"""Datasets: list, show, preview, upload, delete."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Header, Query, Response, UploadFile
from pydantic import StringConstraints

from services.api.parameters import PageOfDatasets
from services.api.uploads import Upload, parse_options, store_upload
from services.api.views import DatasetView, ListView, dataset_view, list_of
from services.http.auth import Owner
from services.http.errors import CONFLICT, NOT_FOUND
from shared.data.table import DatasetTable
from shared.db.datasets import DatasetStore
from shared.db.engine import transaction
from shared.db.seed import find_dataset

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])
DatasetName = Annotated[
    str, StringConstraints(strip_whitespace=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._ -]{0,127}$")
]
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


@router.post("", status_code=201, responses={**SAME, **CONFLICT})
def upload_dataset(
    owner: Owner,
    response: Response,
    file: Annotated[UploadFile, File(description="JSONL, CSV, plain text, NPZ or Parquet")],
    name: Annotated[DatasetName, Form(description="letters, digits, space, `.`, `_`, `-`")],
    format: Annotated[Literal["auto", "jsonl", "csv", "text", "npz", "parquet"], Form()] = "auto",
    options: Annotated[str, Form(max_length=10_000, description="JSON text")] = "{}",
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
) -> dict[str, Any]:
    """Check, split and store a dataset; nothing remains of one with a fault."""
    upload = Upload(file.file, file.filename or "", name, format, parse_options(options))
    answer = store_upload(upload, owner, idempotency_key)
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
