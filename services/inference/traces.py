"""The endpoint that shows what happens inside a network."""

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from services.http.errors import CONFLICT, NOT_FOUND
from services.http.json import json_response
from services.inference.options import MAX_LENGTH
from services.inference.registry import Registry
from services.inference.tracing import trace_input
from shared.db.models import LATEST
from shared.nn.cells.seen import Kind
from shared.nn.trace import Direction, Part

router = APIRouter(prefix="/v1/models/{name}", tags=["inference"])


class TraceRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    input: Any
    """One input in the form in which the dataset has them."""
    max_length: Annotated[int, Field(ge=1, le=MAX_LENGTH)] | None = None
    """Steps that a decoder writes at most; default: as many as the longest target of training."""


class View(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class SequenceView(View):
    num_steps: int
    symbols: list[str] | None
    """What each step read (a decoder: what it wrote); null where steps are numbers."""


class SummaryView(View):
    mean: float | None
    min: float | None
    max: float | None
    share_low: float | None
    """Share of values below 0.05; gates alone."""
    share_high: float | None
    """Share of values above 0.95; gates alone."""


class ArrayView(View):
    name: str
    kind: Kind
    title: str
    shape: list[int]
    """Steps, units."""
    values: list[list[float | None]]
    """Row t belongs to element t of the sequence, also in the backward direction."""
    summary: SummaryView


class HalfLifeView(View):
    formula: str
    """The share of its state that a unit keeps at a step, in terms of the arrays."""
    median: float | None
    """Of the units, in steps; null: never."""
    units: list[float | None]
    """ln 2 / -mean(ln share) of each unit, in steps; null where all is kept."""


class LayerView(View):
    part: Part
    layer: int
    """From 1."""
    direction: Direction
    num_steps: int
    num_units: int
    arrays: list[ArrayView]
    """In the order of the cell's equation; what the layer puts out is the last."""
    half_life: HalfLifeView | None
    """null for cells without a gate that keeps."""


class TraceView(View):
    object: str
    model: str
    version: int
    cell: dict[str, Any]
    sequences: dict[Part, SequenceView]
    max_difference: float | None
    """The largest difference of a hidden state here from that of the whole-sequence path."""
    layers: list[LayerView]


@router.post("/trace", response_model=TraceView, responses={**NOT_FOUND, **CONFLICT})
def trace_latest(name: str, body: TraceRequest, request: Request) -> Response:
    """Gates, cell states and hidden states of the newest version, for each layer, direction and step."""
    return _answer(request, name, LATEST, body)


@router.post(
    "/versions/{version}/trace", response_model=TraceView, responses={**NOT_FOUND, **CONFLICT}
)
def trace_version(name: str, version: str, body: TraceRequest, request: Request) -> Response:
    """The same of one version, by number, alias or `latest`."""
    return _answer(request, name, version, body)


def _answer(request: Request, name: str, version: str, body: TraceRequest) -> Response:
    registry: Registry = request.app.state.registry
    return json_response(trace_input(registry.get(name, version), body.input, body.max_length))
