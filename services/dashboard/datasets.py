"""The pages of datasets: the list with the upload, and what is in one."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, UploadFile
from fastapi.responses import HTMLResponse

from services.api.routers import datasets as api
from services.dashboard.access import CHANGES, can_change, data_login, page_login
from services.dashboard.rendering import PageRoute, render
from services.dashboard.views.columns import ColumnsView, columns_view
from services.dashboard.views.datasets import (
    Side,
    dataset_line,
    dataset_page,
    side,
    unused_builtins,
)
from shared.data.options import InputKind, TargetKind
from shared.data.readers import READERS
from shared.data.table import SPLITS, SplitName
from shared.db.datasets import DatasetStore
from shared.db.engine import transaction
from shared.db.ids import is_id
from shared.db.seed import find_dataset

pages = APIRouter(route_class=PageRoute, dependencies=[Depends(page_login)])
data = APIRouter(prefix="/ui/datasets", dependencies=[Depends(data_login)])
PAGE_SIZE = 50
NUM_SAMPLES = 12
HEAD_BYTES = 2**16  # of a file whose columns are guessed
LARGE_BYTES = 32 * 2**20  # a file of which samples are read only when asked for
UPLOAD_CHOICES = {
    "formats": list(READERS),
    "input_kinds": InputKind.__args__,  # type: ignore[attr-defined]
    "target_kinds": TargetKind.__args__,  # type: ignore[attr-defined]
}


@pages.get("/datasets", response_class=HTMLResponse)
def datasets_page(
    request: Request, after: Annotated[str, Query(max_length=200)] = ""
) -> HTMLResponse:
    with transaction() as db:
        store = DatasetStore(db)
        found = store.page(after if is_id("ds", after) else None, PAGE_SIZE)
        stored = store.names()
    return render(
        "datasets.html",
        may_change=can_change(request),
        lines=[dataset_line(row) for row in found.rows],
        unused=unused_builtins(stored),
        older=found.rows[-1].id if found.has_more else None,
        newer=bool(after),
        choices=UPLOAD_CHOICES,
    )


@pages.get("/datasets/{dataset}", response_class=HTMLResponse)
def dataset_page_(
    request: Request,
    dataset: str,
    split: SplitName = "train",
    rows: bool = False,
) -> HTMLResponse:
    """One dataset, by id or name; a built-in one is made when it was not yet."""
    with transaction() as db:
        row = find_dataset(db, dataset)
        view = dataset_page(row)
    is_shown = rows or row.bytes <= LARGE_BYTES
    return render(
        "dataset.html",
        may_change=can_change(request),
        view=view,
        samples=_samples(row.id, row.encoding, split) if is_shown else None,
        split=split,
        splits=SPLITS,
    )


def _samples(dataset: str, encoding: dict[str, Any], split: SplitName) -> list[tuple[Side, Side]]:
    records = api.preview_dataset(dataset, split, NUM_SAMPLES)["data"]
    read, write = (encoding.get(part, {}).get("tokens") for part in ("input", "target"))
    return [
        (side(each["input"], splits=read), side(each.get("target", ""), splits=write))
        for each in records
    ]


@data.post("/columns", dependencies=CHANGES)
def guess_columns(head: UploadFile) -> ColumnsView:
    """What the columns of a file may be for, by its first bytes."""
    return columns_view(head.file.read(HEAD_BYTES).decode(errors="replace"))


# The same requests as programs make, with the cookie in the place of a key.
data.add_api_route("", api.upload_dataset, methods=["POST"], status_code=201, dependencies=CHANGES)
data.add_api_route(
    "/{dataset}", api.delete_dataset, methods=["DELETE"], status_code=204, dependencies=CHANGES
)
