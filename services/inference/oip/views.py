"""What `/openapi.json` says of the Open Inference Protocol's bodies, which its endpoints read themselves."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from services.http.errors import PlainErrorView
from services.inference.oip.message import OCTETS, InferRequest, Parameters

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": PlainErrorView, "description": text}
    for status, text in {
        400: "It cannot be read",
        401: "No key, or one that is unknown, revoked or expired",
        403: "The key lacks the scope that is needed",
        404: "Unknown",
        413: "Request too large",
        415: "A Content-Encoding that cannot be read",
        422: "It does not fit the model",
        429: "Too many requests; see Retry-After",
        503: "The model, or a server behind this one, is away; see Retry-After",
    }.items()
}
BINARY = {"schema": {"type": "string", "format": "binary"}}


def body_of(model: type[BaseModel], *, is_required: bool = True) -> dict[str, Any]:
    """An operation whose body is read by hand."""
    schema = model.model_json_schema()
    content = {"application/json": {"schema": _inlined(schema, schema.pop("$defs", {}))}}
    return {"requestBody": {"required": is_required, "content": content}}


def _inlined(node: Any, known: dict[str, Any]) -> Any:
    """A schema without references, which would lead nowhere from within another document."""
    if isinstance(node, list):
        return [_inlined(child, known) for child in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inlined(known[node["$ref"].removeprefix("#/$defs/")], known)
    return {name: _inlined(child, known) for name, child in node.items()}


class TensorView(BaseModel):
    """A tensor's elements lie in `data`, or behind the JSON when it has `binary_data_size`."""

    name: str
    datatype: str
    shape: list[int]
    parameters: Parameters = {}
    data: list[Any] | None = None


class InferView(BaseModel):
    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[TensorView]


class ServerView(BaseModel):
    name: str
    version: str
    extensions: list[str]


class LiveView(BaseModel):
    live: bool


class ReadyView(BaseModel):
    ready: bool


class ModelReadyView(BaseModel):
    name: str
    ready: bool


class TensorMetadataView(BaseModel):
    name: str
    datatype: str
    shape: list[int]
    """-1 = any size; the first axis is the batch."""


class MetadataView(BaseModel):
    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadataView]
    outputs: list[TensorMetadataView]


class IndexEntryView(BaseModel):
    name: str
    version: str
    state: str
    """READY in memory, else UNAVAILABLE until the first request."""
    reason: str


class StatisticsView(BaseModel):
    """Since this process began; times in nanoseconds, `last_inference` in milliseconds."""

    model_config = ConfigDict(protected_namespaces=())

    model_stats: list[dict[str, Any]]


INFER = body_of(InferRequest)
INFER["requestBody"]["content"][OCTETS] = BINARY
