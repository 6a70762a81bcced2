"""What goes over the wire, field by field; made from rows, never from requests."""

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from shared.config import get_settings
from shared.db.ids import event_id
from shared.db.queue import Standing
from shared.db.tables import (
    ApiKeyRow,
    AttemptRow,
    BlobRow,
    CheckpointRow,
    DatasetRow,
    EventRow,
    JobRow,
    ModelAliasRow,
    ModelRow,
    ModelVersionRow,
)
from shared.scopes import Scope


class View(BaseModel):
    """What is sent; a sentence below a field describes it in the API's documents too."""

    model_config = ConfigDict(use_attribute_docstrings=True)


T = TypeVar("T", bound=View)


class ListView(View, Generic[T]):
    """One page of a list, newest first; go on with `after=last_id`."""

    object: Literal["list"] = "list"
    data: list[T]
    first_id: str | None
    last_id: str | None
    has_more: bool


def list_of(data: list[T], key: str, *, has_more: bool = False) -> ListView[T]:
    ids = [getattr(item, key) for item in data]
    return ListView(
        data=data,
        first_id=ids[0] if ids else None,
        last_id=ids[-1] if ids else None,
        has_more=has_more,
    )


class DatasetView(View):
    id: str
    object: Literal["dataset"] = "dataset"
    name: str
    owner: str | None
    """The id of the key that uploaded it; null for what is built in, or came without a key."""
    source: str
    format: str
    bytes: int
    sha256: str
    splits: dict[str, int]
    schema_: dict[str, Any]
    lengths: dict[str, Any]
    mappings: list[str]
    num_elements: int
    """Sequence elements of the training split."""
    about: dict[str, Any]
    """Title, row, source and licence of a built-in dataset; class balance."""
    statistics: dict[str, Any]
    """Lengths, vocabulary, class balance, features, missing and duplicates; {} for datasets of old."""
    warnings: list[str]
    """What in it should worry a person, a sentence each."""
    created_at: datetime

    model_config = {
        "alias_generator": lambda name: name.rstrip("_"),
        "populate_by_name": True,
        "serialize_by_alias": True,
    }


def dataset_view(row: DatasetRow) -> DatasetView:
    names = set(DatasetView.model_fields) - {"object", "schema_", "owner"}
    fields = {name: getattr(row, name) for name in names}
    return DatasetView(schema_=row.schema, owner=row.owner or None, **fields)


class AttemptView(View):
    number: int
    worker: str
    device: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    """succeeded, failed, cancelled, paused, lost or released; null while it runs."""
    resumed_from_step: int | None


class JobView(View):
    id: str
    object: Literal["job"] = "job"
    name: str
    owner: str | None
    """The id of the key that submitted it."""
    status: str
    status_reason: str | None
    spec: dict[str, Any]
    seed: int
    dataset_id: str | None
    experiment_id: str | None
    """Of the experiment that made it."""
    created_at: datetime
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    priority: int
    queue_position: int | None
    """1 = the next to be taken; null when it does not wait."""
    starts_in_s: float | None
    """About when a waiting job starts: the work before it, shared out among the workers there are."""
    progress: dict[str, Any]
    best: dict[str, Any] | None
    latest: dict[str, Any]
    attempts: list[AttemptView]
    error: dict[str, Any] | None
    model: dict[str, Any] | None
    weights_sha256: str | None
    kernel: str | None
    num_parameters: int
    urls: dict[str, str]


def job_view(row: JobRow, attempts: list[AttemptRow], standing: Standing | None) -> JobView:
    fields = ("id", "name", "status", "status_reason", "spec", "dataset_id", "created_at")
    more = ("queued_at", "started_at", "finished_at", "priority", "best", "latest")
    last = ("error", "weights_sha256", "kernel", "experiment_id")
    names = ("number", "worker", "device", "started_at", "ended_at", "outcome", "resumed_from_step")
    model = {"name": row.model_name, "version": row.model_version} if row.model_version else None
    return JobView(
        **{name: getattr(row, name) for name in (*fields, *more, *last)},
        owner=row.owner or None,
        seed=row.spec["training"]["seed"],
        queue_position=standing.position if standing else None,
        starts_in_s=standing.starts_in_s if standing else None,
        progress={**row.progress, "eta_s": standing.ends_in_s} if standing else row.progress,
        attempts=[AttemptView(**{n: getattr(attempt, n) for n in names}) for attempt in attempts],
        model=model,
        num_parameters=row.estimate["num_parameters"],
        urls=job_urls(row.id),
    )


def job_urls(job_id: str) -> dict[str, str]:
    base = f"/v1/jobs/{job_id}"
    return {
        "self": base,
        "events": f"{base}/events",
        "metrics": f"{base}/metrics",
        "checkpoints": f"{base}/checkpoints",
        "dashboard": f"/jobs/{job_id}",
    }


class DryRunView(View):
    """What a job would be and cost; nothing was queued."""

    object: Literal["dry_run"] = "dry_run"
    spec: dict[str, Any]
    dataset_id: str
    num_parameters: int
    steps: int
    estimated_memory_bytes: int
    estimated_duration_s: float
    duration_basis: str
    """Where the duration comes from: finished jobs here, or a nominal speed."""


class EventView(View):
    id: str
    object: Literal["event"] = "event"
    type: str
    """status, metric, checkpoint or log."""
    data: dict[str, Any]
    created_at: datetime


def event_view(row: EventRow) -> EventView:
    return EventView(
        id=event_id(row.number), type=row.type, data=row.data, created_at=row.created_at
    )


class SeriesView(View):
    step: list[int]
    value: list[float | None]
    """null where the value was not finite."""
    epoch: list[float]
    time: list[datetime]


class MetricsView(View):
    series: dict[str, SeriesView]


class CheckpointView(View):
    id: str
    object: Literal["checkpoint"] = "checkpoint"
    job_id: str
    attempt: int
    step: int
    epoch: int
    is_best: bool
    is_last: bool
    metrics: dict[str, Any]
    bytes: int
    sha256: str
    weights_sha256: str
    created_at: datetime
    urls: dict[str, str]


def checkpoint_view(row: CheckpointRow, blob: BlobRow) -> CheckpointView:
    names = set(CheckpointView.model_fields) - {"object", "bytes", "sha256", "urls"}
    base = f"/v1/checkpoints/{row.id}"
    return CheckpointView(
        **{name: getattr(row, name) for name in names},
        bytes=blob.bytes,
        sha256=blob.sha256,
        urls={"self": base, "download": f"{base}/download"},
    )


class ChecksView(View):
    """What was found before a version was served."""

    status: Literal["passed", "pending", "failed", "unchecked"]
    """pending: inference checks it within seconds, and before it serves it; unchecked: published before there were checks."""
    reason: str | None = None
    """Why it failed; then it is not served."""
    max_difference: float | None = None
    """The largest difference of outputs computed step by step from those of a whole sequence,
    relative to the largest output where that is above 1; null without steps."""
    tolerance: float | None = None
    latency_ms: float | None = None
    """Median time of one sequence of `latency_steps` steps, where it was checked."""
    latency_steps: int | None = None
    size_bytes: int | None = None
    """Memory of the weights."""
    checked_at: datetime | None = None


class ModelVersionView(View):
    object: Literal["model_version"] = "model_version"
    name: str
    version: int
    aliases: list[str]
    job_id: str | None
    checkpoint_id: str | None
    dataset: str
    network: dict[str, Any]
    mapping: str
    metrics: dict[str, Any]
    num_parameters: int
    weights_sha256: str
    checks: ChecksView
    created_at: datetime
    urls: dict[str, str]


class ModelView(View):
    name: str
    object: Literal["model"] = "model"
    owner: str | None
    """The id of the key whose job published it."""
    latest_version: int
    aliases: dict[str, int]
    """The version that each alias points to."""
    versions: list[ModelVersionView]
    created_at: datetime
    urls: dict[str, str]


def model_view(
    row: ModelRow, versions: list[ModelVersionRow], aliases: dict[str, int]
) -> ModelView:
    return ModelView(
        name=row.name,
        owner=row.owner or None,
        latest_version=versions[0].version,
        aliases=aliases,
        versions=[version_view(version, aliases) for version in versions],
        created_at=row.created_at,
        urls={"self": f"/v1/models/{row.name}", "predict": _predict_url(row.name, "")},
    )


def version_view(row: ModelVersionRow, aliases: dict[str, int]) -> ModelVersionView:
    names = set(ModelVersionView.model_fields) - {"object", "aliases", "mapping", "checks", "urls"}
    return ModelVersionView(
        **{name: getattr(row, name) for name in names},
        aliases=[alias for alias, version in aliases.items() if version == row.version],
        mapping=row.shape["mapping"],
        checks=ChecksView(**{"status": "unchecked", **row.checks}),
        urls={"predict": _predict_url(row.name, f"/versions/{row.version}")},
    )


class AliasView(View):
    object: Literal["alias"] = "alias"
    model: str
    alias: str
    version: int
    updated_at: datetime


def alias_view(row: ModelAliasRow) -> AliasView:
    return AliasView(
        model=row.name, alias=row.alias, version=row.version, updated_at=row.updated_at
    )


def _predict_url(name: str, version: str) -> str:
    return f"{get_settings().inference_url}/v1/models/{name}{version}/predict"


class KeyView(View):
    id: str
    object: Literal["key"] = "key"
    name: str
    prefix: str
    """How the secret begins."""
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    """Exact to a minute."""


def key_view(row: ApiKeyRow) -> KeyView:
    names = set(KeyView.model_fields) - {"object"}
    return KeyView(**{name: getattr(row, name) for name in names})


class NewKeyView(KeyView):
    secret: str
    """Shown this once: only its sha256 is stored."""


def new_key_view(row: ApiKeyRow, secret: str) -> NewKeyView:
    return NewKeyView(**key_view(row).model_dump(), secret=secret)
