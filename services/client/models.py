"""What the services answer, as typed views that take added fields as they come; sends nothing."""

from datetime import datetime
from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from services.client.errors import UnexpectedAnswer
from shared.jobs.states import FINAL


class View(BaseModel):
    """An answer. `raw` is the JSON exactly as it came, added fields included."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())
    _raw: dict[str, Any] = PrivateAttr(default_factory=dict)

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Self:
        """Raises `UnexpectedAnswer` when a field is missing or of another kind."""
        try:
            view = cls.model_validate(raw)
        except ValidationError as invalid:
            raise UnexpectedAnswer(
                f"the service answered what is no {cls.__name__}; is it another version? {invalid}"
            ) from invalid
        view._raw = raw
        return view

    @property
    def raw(self) -> dict[str, Any]:
        return self._raw


V = TypeVar("V", bound=View)


class Page(View, Generic[V]):
    """One page of a list; go on with `after=last_id` while `has_more`."""

    data: list[V]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool = False


def page_of(kind: type[V], raw: dict[str, Any]) -> Page[V]:
    """A page whose items know their own `raw`; raises `UnexpectedAnswer`."""
    if not isinstance(raw.get("data"), list):
        raise UnexpectedAnswer("the service answered what is no list; is the URL right?")
    items = [kind.of(item) for item in raw["data"]]
    page = Page[V](
        data=items,
        first_id=raw.get("first_id"),
        last_id=raw.get("last_id"),
        has_more=raw.get("has_more", False),
    )
    page._raw = raw
    return page


class Dataset(View):
    id: str
    name: str
    source: str
    format: str
    bytes: int
    sha256: str
    splits: dict[str, int]
    schema_: dict[str, Any] = Field(alias="schema")
    """`input` and `target`: kind, and size or vocabulary_size."""
    lengths: dict[str, Any]
    mappings: list[str]
    statistics: dict[str, Any] = {}
    """Lengths, vocabulary, class balance, features, missing and duplicates."""
    warnings: list[str] = []
    """What in it should worry a person."""
    created_at: datetime


class Progress(View):
    step: int = 0
    total_steps: int | None = None
    epoch: float = 0
    epochs: int | None = None
    fraction: float = 0.0
    steps_per_s: float | None = None
    eta_s: float | None = None


class Best(View):
    metric: str
    value: float
    step: int


class Attempt(View):
    number: int
    worker: str
    device: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None
    resumed_from_step: int | None = None


class JobFault(View):
    """Why a job failed. `class_` is user, data, resource or infra."""

    code: str
    class_: str = Field(alias="class")
    message: str


class ModelVersionRef(View):
    name: str
    version: int


class Job(View):
    id: str
    name: str
    status: str
    status_reason: str | None = None
    spec: dict[str, Any]
    seed: int
    dataset_id: str | None = None
    experiment_id: str | None = None
    created_at: datetime
    queued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    queue_position: int | None = None
    starts_in_s: float | None = None
    """About when a waiting job starts; None when nobody can tell."""
    progress: Progress
    best: Best | None = None
    latest: dict[str, float | None] = {}
    attempts: list[Attempt] = []
    error: JobFault | None = None
    model: ModelVersionRef | None = None
    """Where the trained network was published, once it is."""
    weights_sha256: str | None = None
    kernel: str | None = None
    urls: dict[str, str] = {}

    @property
    def is_final(self) -> bool:
        """Whether the job has ended for good."""
        return self.status in FINAL


class DryRun(View):
    """What a job would be and cost; nothing was queued."""

    spec: dict[str, Any]
    num_parameters: int
    steps: int
    estimated_memory_bytes: float
    estimated_duration_s: float


class Event(View):
    id: str
    type: str
    """status, metric, checkpoint or log."""
    data: dict[str, Any]
    created_at: datetime | None = None

    @property
    def is_final(self) -> bool:
        """Whether the job ended with this event; it may have been tried again since."""
        return self.type == "status" and self.data.get("status") in FINAL


class Series(View):
    step: list[int]
    value: list[float | None]
    """None where the value was not finite."""
    time: list[datetime] = []


class Metrics(View):
    series: dict[str, Series]


class Checkpoint(View):
    id: str
    job_id: str
    step: int
    epoch: float
    is_best: bool = False
    is_last: bool = False
    metrics: dict[str, Any] = {}
    bytes: int
    sha256: str
    """Of the file."""
    weights_sha256: str
    created_at: datetime


class Cell(View):
    type: str
    title: str
    equation: str
    parameters: str
    """Number of parameters of one layer and direction, as a formula."""


class Worker(View):
    name: str
    device: str
    status: str
    job_id: str | None = None
    last_heartbeat_at: datetime


class Queue(View):
    depth: int
    by_priority: dict[str, int]
    oldest_age_s: float | None = None


class Checks(View):
    """What was found before a version was served."""

    status: str
    """passed, pending, failed or unchecked."""
    reason: str | None = None
    max_difference: float | None = None
    latency_ms: float | None = None
    size_bytes: int | None = None


class ModelVersion(View):
    version: int
    aliases: list[str] = []
    checks: Checks | None = None
    job_id: str | None = None
    checkpoint_id: str | None = None
    dataset: str
    network: dict[str, Any]
    mapping: str
    metrics: dict[str, Any] = {}
    num_parameters: int
    weights_sha256: str
    created_at: datetime


class Model(View):
    """A name under which trained networks are published."""

    name: str
    aliases: dict[str, int] = {}
    versions: list[ModelVersion] = []


class Alias(View):
    """A word that points to a version."""

    model: str
    alias: str
    version: int


class Prediction(View):
    """One output for each input, shaped by the model's target: see the HTTP documents."""

    model: str
    version: int
    outputs: list[dict[str, Any]]


class TraceSummary(View):
    mean: float | None
    min: float | None
    max: float | None
    share_low: float | None = None
    """Of a gate: the share of values below 0.05."""
    share_high: float | None = None
    """Of a gate: the share of values above 0.95."""


class TraceArray(View):
    name: str
    kind: str
    title: str
    shape: list[int]
    values: list[list[float | None]]
    """A row a step, a number a unit."""
    summary: TraceSummary


class HalfLife(View):
    formula: str
    median: float | None
    """In steps; None = never."""
    units: list[float | None]


class TraceLayer(View):
    part: str
    layer: int
    direction: str
    num_steps: int
    num_units: int
    arrays: list[TraceArray]
    half_life: HalfLife | None = None


class Trace(View):
    """Gates and states of every layer, direction and step."""

    model: str
    version: int
    max_difference: float | None
    layers: list[TraceLayer]


class Generated(View):
    """One written sequence: `text`, `tokens` or `values`, its `score`, and why it ended."""

    model: str
    version: int
    output: dict[str, Any]


class SessionFacts(View):
    """Where a session stood when it was asked for."""

    id: str
    model: str
    version: int
    position: int
    lifetime_s: float
    created_at: datetime
    expires_at: datetime


class Readiness(View):
    """What `/readyz` says."""

    status: str
    checks: dict[str, str] = {}


class Key(View):
    """A key of the service; `secret` is known of one that was just made, and never again."""

    id: str
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    secret: str | None = None
