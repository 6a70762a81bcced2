"""The endpoint that hands networks out as files."""

from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from services.http.errors import STREAM_ERRORS
from services.inference.export import FORMATS
from services.inference.registry import Registry

router = APIRouter(prefix="/v1/models/{name}/versions/{version}", tags=["inference"])
OCTETS = "application/octet-stream"
FILE = {
    "description": "The file",
    "content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}},
}
Format = Annotated[
    Literal["onnx", "safetensors"],
    Query(description="onnx: a model for other runtimes; safetensors: weights and specs."),
]


@router.get("/export", response_class=StreamingResponse, responses={**STREAM_ERRORS, 200: FILE})
def export_version(
    name: str, version: str, request: Request, format: Format = "onnx"
) -> StreamingResponse:
    """One version as a file; `latest` is the newest."""
    registry: Registry = request.app.state.registry
    model = registry.get(name, version)
    pieces: Iterator[bytes | memoryview] = FORMATS[format](model)
    first = next(pieces)  # what cannot be exported is told before the status is sent
    file = f'attachment; filename="{model.name}-{model.version}.{format}"'
    headers = {"Content-Disposition": file}
    return StreamingResponse(chain([first], pieces), headers=headers, media_type=OCTETS)
