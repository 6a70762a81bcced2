"""Checkpoints: show, download whole or in ranges."""

import re
from collections.abc import Iterator
from hashlib import sha256
from itertools import chain
from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse

from services.api.views import CheckpointView, checkpoint_view
from services.http.errors import NOT_FOUND, STREAM_ERRORS, refusal
from shared.db.blobs import CHUNK_BYTES, BlobStore, check_hash
from shared.db.checkpoints import CheckpointStore
from shared.db.engine import transaction
from shared.db.tables import BlobRow

router = APIRouter(prefix="/v1/checkpoints/{checkpoint_id}", tags=["checkpoints"])
BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
RANGE = re.compile(r"^bytes=(\d{1,18})?-(\d{1,18})?$")


@router.get("", responses=NOT_FOUND)
def show_checkpoint(checkpoint_id: str) -> CheckpointView:
    with transaction() as db:
        return checkpoint_view(*CheckpointStore(db).get(checkpoint_id))


@router.get(
    "/download",
    response_class=StreamingResponse,
    responses={
        **STREAM_ERRORS,
        200: {"description": "The file", "content": BYTES},
        206: {"description": "The range asked for", "content": BYTES},
        304: {"description": "The ETag is the one you have"},
        416: {**STREAM_ERRORS[404], "description": "The range lies outside the file"},
    },
)
def download_checkpoint(
    checkpoint_id: str,
    range_: Annotated[str | None, Header(alias="range")] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The checkpoint as safetensors; its ETag is the sha256 of the file."""
    with transaction() as db:
        _, blob = CheckpointStore(db).get(checkpoint_id)
    headers = {"ETag": f'"{blob.sha256}"', "Accept-Ranges": "bytes"}
    if is_known(blob.sha256, if_none_match or ""):
        return Response(status_code=304, headers=headers)
    asked = RANGE.match(range_ or "")
    if asked is None or not any(asked.groups()):
        return _answer(blob, 0, blob.bytes, 200, headers, checkpoint_id)
    start, stop = bounds(asked[1], asked[2], blob.bytes)
    if start >= stop:
        return _unsatisfiable(blob.bytes)
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{blob.bytes}"
    return _answer(blob, start, stop, 206, headers, checkpoint_id)


def is_known(sha256: str, if_none_match: str) -> bool:
    """Whether the header lists this file's ETag, or any."""
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or f'"{sha256}"' in tags


def _unsatisfiable(size: int) -> Response:
    message = f"The file has {size} bytes, and the range begins behind them."
    headers = {"Content-Range": f"bytes */{size}"}
    return refusal(416, "range_not_satisfiable", message, param="Range", headers=headers)


def bounds(first: str | None, last: str | None, size: int) -> tuple[int, int]:
    """The half-open range that `bytes=first-last` means in a file of `size` bytes."""
    if first is None:
        return max(0, size - int(last or 0)), size
    return int(first), size if last is None else min(size, int(last) + 1)


def _answer(
    blob: BlobRow, start: int, stop: int, status: int, headers: dict[str, str], name: str
) -> Response:
    extra = {
        "Content-Length": str(stop - start),
        "Content-Disposition": f'attachment; filename="{name}.safetensors"',
    }
    is_whole = stop - start == blob.bytes
    pieces = _read_checked(blob) if is_whole else _read(blob.id, start, stop)
    first = next(pieces, b"")  # what is damaged at its start is told before the status is sent
    return StreamingResponse(
        chain([first], pieces),
        status,
        headers={**headers, **extra},
        media_type="application/octet-stream",
    )


def _read(blob_id: str, start: int, stop: int) -> Iterator[bytes]:
    """Each piece in a transaction of its own, so that a slow client holds none."""
    while start < stop:
        end = min(stop, (start // CHUNK_BYTES + 1) * CHUNK_BYTES)
        with transaction() as db:
            piece = b"".join(BlobStore(db).read(blob_id, start, end))
        yield piece
        start = end


def _read_checked(blob: BlobRow) -> Iterator[bytes]:
    """All pieces, the last one only when the hash is right: a damaged file never arrives whole."""
    digest, held = sha256(), b""
    for piece in _read(blob.id, 0, blob.bytes):
        if held:
            yield held
        digest.update(piece)
        held = piece
    check_hash(blob, digest.hexdigest())
    yield held
