"""Workers on a frozen machine, a full disk, a database that goes away; messages that come often."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from shared.db.counters import CounterStore
from shared.db.engine import transaction
from shared.db.events import EventStore
from shared.db.jobs import JobStore
from shared.db.tables import AttemptRow
from shared.queue import num_messages
from tests.conftest import forget_settings
from tests.integration.seeding import execute
from tests.integration.workers.commands import (
    statuses,
    wait_for_workers,
    wake,
    worker_command,
)
from tests.integration.workers.conftest import Submit, job_row
from tests.integration.workers.test_stopping import curve
from tests.servers import children_of, wait_for
from workers import lease as lease_module
from workers.lease import Heart
from workers.runner import run_next

LEASE_S = 3
CALM = {"UNROLL_LEASE_S": "600"}  # a worker that is to lose no lease, on whatever machine
LONG_ENOUGH: dict[str, Any] = {
    "training": {"epochs": 40, "batch_size": 64},
    "checkpoint": {"every_steps": 50},
    "network": {"dropout": 0.2},
}
PARTS = ("attempts", "checkpoints", "events", "metrics", "metric_blocks", "model_versions")
FAULTY = """
    CREATE SEQUENCE faults;  -- the one thing that a rollback does not take back
    CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('faults') <= {number} THEN {fault}; END IF; RETURN NULL; END $$;
    CREATE TRIGGER fault BEFORE INSERT ON {table} EXECUTE FUNCTION fault()"""
FULL = "RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'"
CUT = "PERFORM pg_terminate_backend(pg_backend_pid())"


@pytest.fixture
def short_lease(database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    short = {"LEASE_S": LEASE_S, "SWEEP_EVERY_S": 0.5, "RETRY_BASE_S": 0.1, "RETRY_CAP_S": 0.1}
    for name, value in short.items():
        monkeypatch.setenv(f"UNROLL_{name}", str(value))
    forget_settings()


def attempts_of(job_id: str) -> list[AttemptRow]:
    with transaction() as db:
        return JobStore(db).attempts([job_id])[job_id]


def written_of(job_id: str) -> dict[str, str | None]:
    """All that the tables say of a job, as text."""
    keys = {"jobs": "id", **dict.fromkeys(PARTS, "job_id")}
    with transaction() as db:
        return {
            table: db.scalar(
                text(
                    f"SELECT string_agg(t::text, '|' ORDER BY t::text) FROM {table} AS t "
                    f"WHERE {key} = :id"
                ),
                {"id": job_id},
            )
            for table, key in keys.items()
        }


def test_a_worker_frozen_past_its_lease_and_woken_writes_nothing(
    submit: Submit, short_lease: None, tmp_path: Path
) -> None:
    first_log = tmp_path / "first.log"
    with worker_command(first_log, "--concurrency", "1") as first:
        wait_for_workers(1)
        job_id = submit(**LONG_ENOUGH | {"training": {"epochs": 12, "batch_size": 64}})
        wake(job_id)
        assert wait_for(lambda: job_row(job_id).progress.get("step", 0) > 0, 120)
        frozen = children_of(first.pid)
        for pid in (first.pid, *frozen):
            os.kill(pid, signal.SIGSTOP)

        with worker_command(tmp_path / "second.log", "--concurrency", "1", **CALM):
            assert wait_for(lambda: job_row(job_id).status == "succeeded", 120), job_row(job_id)
            before = written_of(job_id)
            for pid in (first.pid, *frozen):
                os.kill(pid, signal.SIGCONT)
            assert wait_for(lambda: "attempt abandoned" in first_log.read_text(), 120)

    one, two = attempts_of(job_id)
    assert written_of(job_id) == before
    assert (one.outcome, two.outcome) == ("lost", "succeeded")
    assert one.worker != two.worker


def test_a_message_that_is_delivered_ten_times_trains_once(
    submit: Submit, short_lease: None, tmp_path: Path
) -> None:
    with worker_command(tmp_path / "log", "--concurrency", "2", **CALM):
        wait_for_workers(2)
        job_id = submit()
        wake(*[job_id] * 10)
        assert wait_for(lambda: job_row(job_id).status == "succeeded", 120)
        assert wait_for(lambda: num_messages() == 0)
        later = [submit(), submit()]
        wake(*later)  # each worker comes to them once it is done with the others
        assert wait_for(lambda: statuses() == ["succeeded"] * 3, 120)

    with transaction() as db:
        counted = CounterStore(db).all()
        told = EventStore(db).after(job_id, 0, 1000)
    assert (counted["claims"], counted["attempts"]) == ({"": 3}, {"succeeded": 3})
    assert [a.outcome for a in attempts_of(job_id)] == ["succeeded"]
    assert [e.data["status"] for e in told if e.type == "status"] == ["queued", "running", "succeeded"]  # fmt: skip


@pytest.mark.parametrize("fault", [FULL, CUT], ids=["disk full", "connection cut"])
@pytest.mark.parametrize("table", ["metrics", "blobs", "checkpoints", "model_versions"])
def test_a_training_waits_while_the_database_fails_and_goes_on_in_the_same_attempt(
    submit: Submit, heart: Heart, table: str, fault: str
) -> None:
    calm, job_id = submit(), submit(priority=1)
    run_next(heart)
    execute(FAULTY.format(table=table, fault=fault, number=3))
    run_next(heart)

    job = job_row(job_id)
    assert (job.status, job.attempt) == ("succeeded", 1)
    assert job.weights_sha256 == job_row(calm).weights_sha256
    with transaction() as db:
        assert db.execute(text("SELECT last_value FROM faults")).scalar_one() > 3


def test_a_job_that_cannot_be_claimed_because_the_disk_is_full_waits(
    submit: Submit, heart: Heart
) -> None:
    job_id = submit()
    execute(FAULTY.format(table="attempts", fault=FULL, number=1))

    run_next(heart)
    first = job_row(job_id).status
    run_next(heart)

    assert (first, job_row(job_id).status) == ("queued", "succeeded")


def test_a_training_survives_the_loss_of_every_answer_to_a_commit(
    submit: Submit, heart: Heart, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm, job_id = submit(), submit(priority=1)
    run_next(heart)
    calls = count()

    @contextmanager
    def lossy() -> Iterator[Session]:
        with transaction() as db:
            yield db
        if next(calls) % 2 == 0:
            raise OperationalError(None, None, Exception("connection lost"))

    monkeypatch.setattr(lease_module, "transaction", lossy)
    run_next(heart)

    job = job_row(job_id)
    assert next(calls) > 10
    assert (job.status, job.attempt) == ("succeeded", 1)
    assert job.weights_sha256 == job_row(calm).weights_sha256
    assert curve(job_id, "train/loss") == curve(calm, "train/loss")
    assert curve(job_id, "val/loss") == curve(calm, "val/loss")
    assert job.model_version == job_row(calm).model_version + 1  # type: ignore[operator]
