"""The Open Inference Protocol v2 under `/v2`; what its bodies mean is read elsewhere."""

from collections.abc import Callable
from importlib.metadata import version as version_of
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from services.http.errors import PlainErrorView
from services.http.health import CHECKS, results_of
from services.inference.oip import describing, repository
from services.inference.oip.generate import GenerateRequest, GenerateView, Generation
from services.inference.oip.infer import Protocol
from services.inference.oip.message import OCTETS, Body, Parameters, validated
from services.inference.oip.tensors import dumps
from services.inference.oip.views import (
    BINARY,
    INFER,
    IndexEntryView,
    InferView,
    LiveView,
    MetadataView,
    ModelReadyView,
    ReadyView,
    ServerView,
    StatisticsView,
    body_of,
)
from services.inference.serving import model_of, unless_left
from shared.db.models import LATEST
from shared.jobs.errors import Malformed

EXTENSIONS = [
    "binary_tensor_data",
    "classification",
    "statistics",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "sequence",
    "sequence(string_id)",
]
MODEL, VERSION = "/models/{name}", "/models/{name}/versions/{version}"
UNREADY = {"model": PlainErrorView, "description": "A check failed"}
INFERRED: dict[int | str, dict[str, Any]] = {
    200: {"model": InferView, "description": "The outputs", "content": {OCTETS: BINARY}}
}
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Each piece of the text as it is written; the last event has `done`",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}

router = APIRouter(prefix="/v2", tags=["open inference protocol"])
infers = APIRouter(prefix="/v2", tags=["open inference protocol"])
health = APIRouter(prefix="/v2/health", tags=["open inference protocol"])


class IndexRequest(BaseModel):
    ready: bool = False
    """Only what is in memory."""


class RepositoryRequest(BaseModel):
    parameters: Parameters = {}


def protocol_of(request: Request) -> Protocol:
    protocol: Protocol = request.app.state.protocol
    return protocol


@health.get("/live")
async def live() -> LiveView:
    """The process is alive."""
    return LiveView(live=True)


@health.get("/ready", responses={503: UNREADY})
def ready(request: Request) -> ReadyView:
    """Database, broker and migrations are there: models can be loaded."""
    results = results_of({**CHECKS, "registry": protocol_of(request).registry.check})
    faults = [f"{name}: {result}" for name, result in results.items() if result != "ok"]
    if faults:
        raise HTTPException(503, "; ".join(faults))
    return ReadyView(ready=True)


@router.get("")
def show_server() -> ServerView:
    """Name, version, and the extensions of the protocol that are spoken."""
    return ServerView(name="unroll", version=version_of("unroll"), extensions=EXTENSIONS)


router.get("/", include_in_schema=False)(show_server)


@router.get("/models/stats")
def show_all_statistics(request: Request) -> StatisticsView:
    """Counts and times of every version that was asked or is in memory."""
    return StatisticsView(**repository.statistics(protocol_of(request)))


@router.get(f"{MODEL}/stats")
def show_statistics(name: str, request: Request) -> StatisticsView:
    """Counts and times of a model's versions that were asked, and of the newest."""
    return StatisticsView(**repository.statistics_of(protocol_of(request), name, None))


@router.get(f"{VERSION}/stats")
def show_version_statistics(name: str, version: str, request: Request) -> StatisticsView:
    """Counts and times of one version."""
    return StatisticsView(**repository.statistics_of(protocol_of(request), name, version))


@router.get(MODEL)
def show_metadata(name: str) -> MetadataView:
    """The tensors of the newest version, and which versions there are."""
    return MetadataView(**describing.metadata(*repository.published(name)))


@router.get(VERSION)
def show_version_metadata(name: str, version: str) -> MetadataView:
    """The tensors of one version, and which others there are."""
    return MetadataView(**describing.metadata(*repository.published(name, version)))


@router.get(f"{MODEL}/config")
def show_config(name: str) -> dict[str, Any]:
    """The configuration of the newest version, labels included."""
    return _config(name, LATEST)


@router.get(f"{VERSION}/config")
def show_version_config(name: str, version: str) -> dict[str, Any]:
    """The configuration of one version, labels included."""
    return _config(name, version)


def _config(name: str, version: str) -> dict[str, Any]:
    row, _ = repository.published(name, version)
    return describing.config(row)


@router.get(f"{MODEL}/ready")
def model_ready(name: str, request: Request) -> ModelReadyView:
    """The newest version can be called; it is loaded to find out."""
    return _ready(request, name, LATEST)


@router.get(f"{VERSION}/ready")
def version_ready(name: str, version: str, request: Request) -> ModelReadyView:
    """One version can be called; it is loaded to find out."""
    return _ready(request, name, version)


def _ready(request: Request, name: str, version: str) -> ModelReadyView:
    protocol_of(request).registry.get(name, version)
    return ModelReadyView(name=name, ready=True)


@infers.post(f"{MODEL}/infer", response_class=Response, responses=INFERRED, openapi_extra=INFER)
async def infer(name: str, request: Request) -> Response:
    """Call the newest version with tensors, as JSON or in binary."""
    return await _infer(request, name, LATEST)


@infers.post(f"{VERSION}/infer", response_class=Response, responses=INFERRED, openapi_extra=INFER)
async def infer_version(name: str, version: str, request: Request) -> Response:
    """Call one version with tensors, as JSON or in binary."""
    return await _infer(request, name, version)


async def _infer(request: Request, name: str, version: str) -> Response:
    body = await request.body()
    model = await model_of(request, name, version)
    return await unless_left(request, protocol_of(request).infer(model, body, request.headers))


@router.post(
    f"{MODEL}/generate", response_model=GenerateView, openapi_extra=body_of(GenerateRequest)
)
async def generate(name: str, request: Request) -> Response:
    """Have the newest version write a text."""
    return await _generated(request, name, LATEST, _whole)


@router.post(
    f"{VERSION}/generate", response_model=GenerateView, openapi_extra=body_of(GenerateRequest)
)
async def generate_version(name: str, version: str, request: Request) -> Response:
    """Have one version write a text."""
    return await _generated(request, name, version, _whole)


@router.post(
    f"{MODEL}/generate_stream",
    response_class=StreamingResponse,
    responses=STREAMED,
    openapi_extra=body_of(GenerateRequest),
)
async def generate_stream(name: str, request: Request) -> Response:
    """Have the newest version write a text, and see it grow."""
    return await _generated(request, name, LATEST, _streamed)


@router.post(
    f"{VERSION}/generate_stream",
    response_class=StreamingResponse,
    responses=STREAMED,
    openapi_extra=body_of(GenerateRequest),
)
async def generate_version_stream(name: str, version: str, request: Request) -> Response:
    """Have one version write a text, and see it grow."""
    return await _generated(request, name, version, _streamed)


async def _generated(
    request: Request, name: str, version: str, answer: Callable[[Generation], Response]
) -> Response:
    body, protocol = await request.body(), protocol_of(request)

    def work() -> Response:
        wanted = validated(GenerateRequest, body)
        return answer(Generation(protocol, name, version, wanted))

    return await run_in_threadpool(work)


def _whole(generation: Generation) -> Response:
    return Response(dumps(generation.whole()), media_type="application/json")


def _streamed(generation: Generation) -> Response:
    return StreamingResponse(generation.events(), media_type="text/event-stream")


@router.post(
    "/repository/index",
    response_model=list[IndexEntryView],
    openapi_extra=body_of(IndexRequest, is_required=False),
)
async def show_index(request: Request) -> Any:
    """Every published version; READY are those in memory."""
    wanted, protocol = await _read(request, IndexRequest), protocol_of(request)
    return await run_in_threadpool(repository.index, protocol, only_ready=wanted.ready)


@router.post(
    "/repository/models/{name}/load", openapi_extra=body_of(RepositoryRequest, is_required=False)
)
async def load(name: str, request: Request) -> dict[str, Any]:
    """Bring the newest version into memory."""
    wanted = await _read(request, RepositoryRequest)
    if wanted.parameters:
        raise Malformed(
            "parameters: what a model is was decided when it was published; load takes none."
        )
    await run_in_threadpool(protocol_of(request).registry.get, name)
    return {}


@router.post(
    "/repository/models/{name}/unload", openapi_extra=body_of(RepositoryRequest, is_required=False)
)
async def unload(name: str, request: Request) -> dict[str, Any]:
    """Drop all versions from memory; the next request for one loads it again."""
    await _read(request, RepositoryRequest)
    await run_in_threadpool(repository.unload, protocol_of(request), name)
    return {}


async def _read(request: Request, kind: type[Body]) -> Body:
    """A body that may be empty."""
    return validated(kind, await request.body() or b"{}")
