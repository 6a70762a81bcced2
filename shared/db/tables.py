"""Every table. Rows are dumb: what may be done with them is said in the stores."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.db.viewer import NO_OWNER, current_owner
from shared.jobs.states import LEASED, JobStatus

NAMING = {
    "pk": "pk_%(table_name)s",
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}


class Row(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[str]: JSONB,
        list[int]: JSONB,
        list[dict[str, Any]]: JSONB,
    }


def _sql_list(statuses: frozenset[JobStatus]) -> str:
    return ", ".join(f"'{status}'" for status in sorted(statuses))


NOW = func.now()
LEASED_SQL = _sql_list(LEASED)
STATUSES_SQL = _sql_list(frozenset(JobStatus))


class BlobRow(Row):
    """Bytes of any size, in chunks; immutable once written."""

    __tablename__ = "blobs"
    id: Mapped[str] = mapped_column(primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class BlobChunkRow(Row):
    __tablename__ = "blob_chunks"
    blob_id: Mapped[str] = mapped_column(
        ForeignKey("blobs.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class DatasetRow(Row):
    __tablename__ = "datasets"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    owner: Mapped[str] = mapped_column(default=current_owner, server_default=NO_OWNER)
    source: Mapped[str]  # builtin | upload, the former everyone's
    format: Mapped[str]
    sha256: Mapped[str]  # of the bytes as they came
    bytes: Mapped[int] = mapped_column(BigInteger)
    blob_id: Mapped[str] = mapped_column(ForeignKey("blobs.id"))
    options: Mapped[dict[str, Any]]
    encoding: Mapped[dict[str, Any]]
    splits: Mapped[dict[str, Any]]
    schema: Mapped[dict[str, Any]]
    lengths: Mapped[dict[str, Any]]
    mappings: Mapped[list[str]]
    about: Mapped[dict[str, Any]]  # title, row, source and licence of a built-in; class balance
    num_elements: Mapped[int] = mapped_column(BigInteger)  # of the training split
    statistics: Mapped[dict[str, Any]] = mapped_column(server_default="{}")  # what a page draws
    warnings: Mapped[list[str]] = mapped_column(server_default="[]")  # a sentence each
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (UniqueConstraint("owner", "name"),)


class ExperimentRow(Row):
    """What jobs have in common that differ in their arm and seed; how far it is, they know."""

    __tablename__ = "experiments"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    owner: Mapped[str] = mapped_column(default=current_owner, server_default=NO_OWNER)
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id", ondelete="SET NULL"))
    base: Mapped[dict[str, Any]]  # as sent
    vary: Mapped[dict[str, Any]]
    seeds: Mapped[list[int]]
    match: Mapped[str]  # none | parameters
    matching: Mapped[dict[str, Any] | None]
    metric: Mapped[str]
    metrics: Mapped[list[str]]  # what arms can be ranked by
    has_test: Mapped[bool]  # whether the dataset has a test split
    arms: Mapped[list[dict[str, Any]]]  # values by path, label, resolved spec, number of parameters
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    cancelled_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_experiments_owner_id", "owner", "id"),
        Index("ix_experiments_dataset_id", "dataset_id"),
    )


class JobRow(Row):
    __tablename__ = "jobs"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    owner: Mapped[str] = mapped_column(default=current_owner, server_default=NO_OWNER)
    status: Mapped[str] = mapped_column(server_default=JobStatus.QUEUED)
    status_reason: Mapped[str | None]
    spec: Mapped[dict[str, Any]]
    details: Mapped[dict[str, Any]] = mapped_column("metadata")
    cell: Mapped[str]
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id", ondelete="SET NULL"))
    experiment_id: Mapped[str | None] = mapped_column(
        ForeignKey("experiments.id", ondelete="SET NULL")
    )
    arm: Mapped[int | None]  # place in its experiment's arms
    device: Mapped[str]  # asked for: auto | cpu | cuda
    priority: Mapped[int] = mapped_column(SmallInteger)
    estimate: Mapped[dict[str, Any]]
    request_id: Mapped[str | None]  # of the request that submitted it
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    queued_at: Mapped[datetime] = mapped_column(server_default=NOW)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    attempt: Mapped[int] = mapped_column(server_default="0")  # the fencing token: it only grows
    max_attempts: Mapped[int]
    granted_after: Mapped[int] = mapped_column(server_default="0")  # later attempts count alone
    worker: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    not_before: Mapped[datetime] = mapped_column(server_default=NOW)  # back-off after a failed try
    dispatched_at: Mapped[datetime | None]  # when a wake-up message was last sent
    num_dispatches: Mapped[int] = mapped_column(server_default="0")

    progress: Mapped[dict[str, Any]]
    best: Mapped[dict[str, Any] | None]
    latest: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    error: Mapped[dict[str, Any] | None]
    model_name: Mapped[str | None]
    model_version: Mapped[int | None]
    weights_sha256: Mapped[str | None]
    kernel: Mapped[str | None]

    __table_args__ = (
        CheckConstraint(f"status IN ({STATUSES_SQL})", name="status"),
        CheckConstraint(
            f"(status IN ({LEASED_SQL})) = (lease_until IS NOT NULL)", name="leased_when_owned"
        ),
        Index(
            "ix_jobs_queue",
            text("priority DESC"),
            "queued_at",
            "id",
            postgresql_where=text("status = 'queued'"),
        ),
        Index("ix_jobs_leases", "lease_until", postgresql_where=text("lease_until IS NOT NULL")),
        Index("ix_jobs_status_id", "status", "id"),
        Index("ix_jobs_owner_id", "owner", "id"),
        Index("ix_jobs_dataset_id", "dataset_id"),
        Index("ix_jobs_experiment_id", "experiment_id"),
        Index("ix_jobs_metadata", "metadata", postgresql_using="gin"),
    )


class AttemptRow(Row):
    __tablename__ = "attempts"
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    worker: Mapped[str]
    device: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(server_default=NOW)
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]  # succeeded | failed | cancelled | paused | lost | released
    resumed_from_step: Mapped[int | None]


class EventRow(Row):
    __tablename__ = "events"
    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    type: Mapped[str]  # status | metric | checkpoint | log
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())

    __table_args__ = (Index("ix_events_job_id_number", "job_id", "number"),)


class MetricRow(Row):
    """One point of one curve. Narrow on purpose: a job may have a million.

    No foreign key: to look it up for each point takes as long as to write it, and the lock of its
    job, which every writer holds, says the same. A trigger deletes the points of a deleted job.
    """

    __tablename__ = "metrics"
    job_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    value: Mapped[float] = mapped_column(Double)
    epoch: Mapped[float] = mapped_column(Double)
    time: Mapped[datetime]


class MetricBlockRow(Row):
    """The extremes of one curve within 128 steps; a long curve is drawn from these."""

    __tablename__ = "metric_blocks"
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    block: Mapped[int] = mapped_column(BigInteger, primary_key=True)  # step // 128
    num: Mapped[int]
    min_value: Mapped[float | None] = mapped_column(Double)  # of the finite ones
    min_step: Mapped[int | None] = mapped_column(BigInteger)
    max_value: Mapped[float | None] = mapped_column(Double)
    max_step: Mapped[int | None] = mapped_column(BigInteger)
    odd_step: Mapped[int | None] = mapped_column(BigInteger)  # the first that is not finite


class CounterRow(Row):
    """What happened so far, for Prometheus: it only grows, also when jobs are deleted."""

    __tablename__ = "counters"
    name: Mapped[str] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(primary_key=True)  # "" where the name has no labels
    value: Mapped[int] = mapped_column(BigInteger)


class CheckpointRow(Row):
    __tablename__ = "checkpoints"
    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    attempt: Mapped[int]
    step: Mapped[int] = mapped_column(BigInteger)
    epoch: Mapped[int]
    metrics: Mapped[dict[str, Any]]
    is_best: Mapped[bool] = mapped_column(server_default="false")
    is_last: Mapped[bool] = mapped_column(server_default="false")
    blob_id: Mapped[str] = mapped_column(ForeignKey("blobs.id"))
    weights_sha256: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (
        Index("ix_checkpoints_job_id_step", "job_id", "step"),
        Index("ix_checkpoints_blob_id", "blob_id"),
    )


class ModelRow(Row):
    __tablename__ = "models"
    owner: Mapped[str] = mapped_column(primary_key=True, server_default=NO_OWNER)
    name: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class ModelVersionRow(Row):
    """A published network; it owns its checkpoint's blob, so the job may be deleted."""

    __tablename__ = "model_versions"
    owner: Mapped[str] = mapped_column(primary_key=True, server_default=NO_OWNER)
    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    checkpoint_id: Mapped[str | None] = mapped_column(
        ForeignKey("checkpoints.id", ondelete="SET NULL")
    )
    dataset: Mapped[str]
    network: Mapped[dict[str, Any]]
    shape: Mapped[dict[str, Any]]
    encoding: Mapped[dict[str, Any]]
    metrics: Mapped[dict[str, Any]]
    num_parameters: Mapped[int] = mapped_column(BigInteger)
    blob_id: Mapped[str] = mapped_column(ForeignKey("blobs.id"))
    weights_sha256: Mapped[str]
    checks: Mapped[dict[str, Any]] = mapped_column(server_default="{}")  # empty: never checked
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (
        ForeignKeyConstraint(
            ["owner", "name"], ["models.owner", "models.name"], ondelete="CASCADE"
        ),
        Index("ix_model_versions_blob_id", "blob_id"),
    )


class ModelAliasRow(Row):
    """A word for a version, such as `production`; it may be moved to another one."""

    __tablename__ = "model_aliases"
    owner: Mapped[str] = mapped_column(primary_key=True, server_default=NO_OWNER)
    name: Mapped[str] = mapped_column(primary_key=True)
    alias: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (
        ForeignKeyConstraint(
            ["owner", "name"], ["models.owner", "models.name"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(
            ["owner", "name", "version"],
            ["model_versions.owner", "model_versions.name", "model_versions.version"],
            name="fk_model_aliases_version",
        ),
    )


class WorkerRow(Row):
    __tablename__ = "workers"
    name: Mapped[str] = mapped_column(primary_key=True)
    device: Mapped[str]
    num_gpus: Mapped[int] = mapped_column(server_default="0")
    usage: Mapped[dict[str, Any] | None]  # of memory and GPUs, where the machine tells
    job_id: Mapped[str | None]
    started_at: Mapped[datetime] = mapped_column(server_default=NOW)
    heartbeat_at: Mapped[datetime] = mapped_column(server_default=NOW)


class ApiKeyRow(Row):
    """A key without its secret; never deleted, so that what it owns keeps an owner."""

    __tablename__ = "api_keys"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    prefix: Mapped[str]  # how the secret begins, for people to tell keys apart
    sha256: Mapped[str] = mapped_column(unique=True)  # of the secret
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]  # exact to a minute


class LoginRow(Row):
    """Somebody logged in to the dashboard with a key; the cookie's token is not stored."""

    __tablename__ = "logins"
    sha256: Mapped[str] = mapped_column(primary_key=True)  # of the token
    key_id: Mapped[str]  # of a row of api_keys, or of a key among the settings
    ends_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (Index("ix_logins_key_id", "key_id"),)


class IdempotencyRow(Row):
    """The first answer to a creating request, kept for its repetitions."""

    __tablename__ = "idempotency_keys"
    owner: Mapped[str] = mapped_column(primary_key=True)  # whose key: two clients may choose alike
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    body_sha256: Mapped[str]
    answer: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)


class SecretRow(Row):
    """A random key that all processes share, made by the first that asks for it."""

    __tablename__ = "secrets"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
