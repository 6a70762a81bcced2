"""Databases that hold datasets before a test begins, and a worker played without training."""

import asyncio
from collections.abc import AsyncIterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from services.embedded.servers import Servers
from shared.db.blobs import BlobStore
from shared.db.checkpoints import CheckpointStore
from shared.db.engine import transaction
from shared.db.leases import LeaseStore
from shared.db.metrics import MetricStore, Point
from shared.db.models import ModelStore
from shared.db.seed import ensure_builtin
from shared.db.tables import CheckpointRow, DatasetRow, JobRow, ModelVersionRow, Row
from shared.jobs.errors import ErrorClass, JobError
from shared.jobs.states import JobStatus
from tests.conftest import forget_settings
from tests.servers import (
    TEMPLATE,
    database_url,
    empty_valkey_database,
    fresh_database,
    run_sql,
)

SEEDED = "template_seeded"
DATASETS = ("digits", "copy-5", "adding-10")
LEASE_S = 30.0
NEVER_S = "86400"  # tests sweep when they mean to


@contextmanager
def settings(**values: str) -> Iterator[None]:
    """`UNROLL_*` settings, by their lower-case names, for as long as the block lasts."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(f"UNROLL_{name.upper()}", value)
        _forget()
        yield
    _forget()


def _forget() -> None:
    forget_settings()


def make_seeded_template(servers: Servers) -> None:
    """A migrated database with three small datasets: classes, tags and regression."""
    run_sql(servers, f"CREATE DATABASE {SEEDED} TEMPLATE {TEMPLATE}")
    with settings(database_url=database_url(servers, SEEDED)), transaction() as db:
        for name in DATASETS:
            ensure_builtin(db, name)
    run_sql(servers, f"ALTER DATABASE {SEEDED} ALLOW_CONNECTIONS false")


@contextmanager
def seeded_servers(servers: Servers) -> Iterator[None]:
    """Settings that point to a seeded database and an empty broker of the block's own."""
    with fresh_database(servers, SEEDED) as database, pointed_to(servers, database):
        yield


@contextmanager
def pointed_to(servers: Servers, database: str) -> Iterator[None]:
    """Settings that point to this database and an empty broker of the block's own."""
    with (
        empty_valkey_database(servers) as broker,
        settings(database_url=database, redis_url=broker, sweep_every_s=NEVER_S),
    ):
        yield


def take_away_all_but_datasets() -> None:
    """Leave a seeded database as it was made; a fraction of the time that a copy takes."""
    for table in (
        "jobs",
        "experiments",
        "models",
        "workers",
        "idempotency_keys",
        "api_keys",
        "logins",
    ):
        execute(f"DELETE FROM {table}")
    execute("DELETE FROM datasets WHERE name != ALL(:kept)", kept=list(DATASETS))
    execute("DELETE FROM blobs WHERE id NOT IN (SELECT blob_id FROM datasets)")


def spec(dataset: str = "digits", cell: object = "lstm", **changes: Any) -> dict[str, Any]:
    """The smallest job spec, and `changes` to it."""
    return {"dataset": dataset, "network": {"cell": cell, "hidden_size": 4}, **changes}


def count_rows() -> dict[str, int]:
    """Rows of every table."""
    with transaction() as db:
        return {
            table.name: db.scalars(select(func.count()).select_from(table)).one()
            for table in Row.metadata.sorted_tables
        }


def execute(statement: str, **values: Any) -> None:
    """One SQL statement, committed: what time or an accident would have done."""
    with transaction() as db:
        db.execute(text(statement), values)


def job_row(job_id: str) -> JobRow:
    with transaction() as db:
        return db.get_one(JobRow, job_id)


def claim(
    worker: str = "w1", device: str = "cpu", lease_s: float = LEASE_S, num_gpus: int = 0
) -> JobRow | None:
    """Take the next job as a worker does."""
    with transaction() as db:
        return LeaseStore(db).claim(worker, device, lease_s, num_gpus)


def claimed(worker: str = "w1") -> JobRow:
    job = claim(worker)
    assert job is not None, "no job waits"
    return job


def settle(job: JobRow, status: JobStatus, outcome: str) -> None:
    """End the attempt that `job` was claimed by."""
    with transaction() as db:
        leases = LeaseStore(db)
        leases.settle(leases.owned(job.id, job.attempt), status, outcome)


def fail(job: JobRow, message: str = "the loss was not finite") -> None:
    with transaction() as db:
        leases = LeaseStore(db)
        row = leases.owned(job.id, job.attempt)
        row.error = JobError("loss_not_finite", ErrorClass.USER, message).to_json()
        leases.settle(row, JobStatus.FAILED, "failed")


def save(
    job: JobRow, data: bytes = b"weights", *, step: int = 1, metrics: dict[str, float] | None = None
) -> CheckpointRow:
    """Write a checkpoint as the owner of a claimed job."""
    with transaction() as db:
        LeaseStore(db).owned(job.id, job.attempt)
        return CheckpointStore(db).add(
            job.id,
            attempt=job.attempt,
            step=step,
            epoch=step,
            metrics=metrics or {},
            blob_id=BlobStore(db).write([data]).id,
            weights_sha256="00" * 32,
        )


def write_curve(
    job: JobRow, values: Sequence[float], name: str = "train/loss", *, first_step: int = 1
) -> None:
    """Write one point a step as the owner of a claimed job."""
    now = datetime.now(UTC)
    points = [
        Point(name, first_step + index, index / 10, value, now)
        for index, value in enumerate(values)
    ]
    with transaction() as db:
        LeaseStore(db).owned(job.id, job.attempt)
        MetricStore(db).add(job.id, points)


def publish(db: Session, checkpoint: CheckpointRow, job: JobRow) -> ModelVersionRow:
    """Make a checkpoint the next version of its job's model."""
    dataset = db.get_one(DatasetRow, job.dataset_id)
    assert job.model_name is not None
    return ModelStore(db).publish(
        job.model_name,
        job_id=job.id,
        checkpoint_id=checkpoint.id,
        dataset=dataset.name,
        network=job.spec["network"],
        shape={"mapping": job.spec["mapping"]},
        encoding=dataset.encoding,
        metrics={"test/accuracy": 0.5},
        num_parameters=job.estimate["num_parameters"],
        blob_id=checkpoint.blob_id,
        weights_sha256=checkpoint.weights_sha256,
    )


def succeed(job: JobRow, data: bytes = b"weights") -> CheckpointRow:
    """Save, publish and end a claimed job."""
    checkpoint = save(job, data)
    with transaction() as db:
        leases = LeaseStore(db)
        row = leases.owned(job.id, job.attempt)
        row.model_version = publish(db, checkpoint, row).version
        row.weights_sha256 = checkpoint.weights_sha256
        leases.settle(row, JobStatus.SUCCEEDED, "succeeded")
    return checkpoint


OPEN = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND state LIKE 'idle in transaction%'
"""


def slowly_read(pieces: AsyncIterable[object]) -> list[object]:
    """Each piece of a stream; between two of them, nobody may be within a transaction."""

    async def collect() -> list[object]:
        found = []
        async for piece in pieces:
            found.append(piece)
            with transaction() as db:
                assert db.scalars(text(OPEN)).one() == 0
        return found

    return asyncio.run(collect())
