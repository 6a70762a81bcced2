"""Workers on a frozen machine, a full disk, a database that goes away; messages that come often."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import ExceptionContext, event, text

from shared.config import get_settings
from shared.db.counters import CounterStore
from shared.db.engine import get_engine, transaction
from shared.db.events import EventStore
from shared.db.jobs import JobStore
from shared.db.tables import AttemptRow
from shared.queue import num_messages
from tests.conftest import forget_settings
from tests.integration.workers.commands import statuses, wait_for_workers, wake, worker_command
from tests.integration.workers.conftest import Submit, job_row
from tests.servers import libpq_url, wait_for
from workers.lease import Heart
from workers.runner import run_next

LEASE_S = 3
LONG_ENOUGH: dict[str, Any] = {
    "training": {"epochs": 40, "batch_size": 64},
    "checkpoint": {"every_steps": 50},
    "network": {"dropout": 0.2},
}
PARTS = ("attempts", "checkpoints", "events", "metrics", "metric_blocks", "model_versions")
FULL = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON {table} EXECUTE FUNCTION refuse()"""
EMPTIED = "DROP FUNCTION refuse CASCADE"


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


def children_of(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_worker_frozen_past_its_lease_and_woken_writes_nothing(
    submit: Submit, short_lease: None, tmp_path: Path
) -> None:
    first_log = tmp_path / "first.log"
    with worker_command(first_log, "--concurrency", "1") as first:
        wait_for_workers(1)
        job_id = submit(**LONG_ENOUGH)
        wake(job_id)
        assert wait_for(lambda: job_row(job_id).progress.get("step", 0) > 0, 60)
        frozen = children_of(first.pid)
        for pid in (first.pid, *frozen):
            os.kill(pid, signal.SIGSTOP)

        with worker_command(tmp_path / "second.log", "--concurrency", "1"):
            assert wait_for(lambda: job_row(job_id).status == "succeeded", 120), job_row(job_id)
            before = written_of(job_id)
            for pid in (first.pid, *frozen):
                os.kill(pid, signal.SIGCONT)
            assert wait_for(lambda: "attempt abandoned" in first_log.read_text(), 60)

    one, two = attempts_of(job_id)
    assert written_of(job_id) == before
    assert (one.outcome, two.outcome) == ("lost", "succeeded")
    assert one.worker != two.worker


def test_a_message_that_is_delivered_ten_times_trains_once(
    submit: Submit, short_lease: None, tmp_path: Path
) -> None:
    with worker_command(tmp_path / "log", "--concurrency", "2"):
        wait_for_workers(2)
        job_id = submit()
        wake(*[job_id] * 10)
        assert wait_for(lambda: job_row(job_id).status == "succeeded", 60)
        assert wait_for(lambda: num_messages() == 0)
        later = [submit(), submit()]
        wake(*later)  # each worker comes to them once it is done with the others
        assert wait_for(lambda: statuses() == ["succeeded"] * 3, 60)

    with transaction() as db:
        counted = CounterStore(db).all()
        told = EventStore(db).after(job_id, 0, 1000)
    assert (counted["claims"], counted["attempts"]) == ({"": 3}, {"succeeded": 3})
    assert [a.outcome for a in attempts_of(job_id)] == ["succeeded"]
    assert [e.data["status"] for e in told if e.type == "status"] == ["queued", "running", "succeeded"]  # fmt: skip


@contextmanager
def mended_after(num_errors: int, mend: Callable[[], None]) -> Iterator[list[str | None]]:
    """Do `mend` when the database has refused so often; the SQLSTATE of every refusal."""
    states: list[str | None] = []

    def note(context: ExceptionContext) -> None:
        states.append(getattr(context.original_exception, "sqlstate", None))
        if len(states) == num_errors:
            mend()

    engine = get_engine()
    event.listen(engine, "handle_error", note)
    try:
        yield states
    finally:
        event.remove(engine, "handle_error", note)


def elsewhere(statement: str) -> None:
    """One statement on a connection that is not the worker's."""
    url = libpq_url(get_settings().database_url.get_secret_value())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


@pytest.mark.parametrize("table", ["blobs", "checkpoints", "events", "model_versions"])
def test_a_training_waits_while_the_disk_is_full_and_goes_on_by_itself(
    submit: Submit, heart: Heart, table: str
) -> None:
    calm, job_id = submit(), submit(priority=1)
    run_next(heart)
    assert job_row(job_id).status == "queued"
    on_claim = table == "events"  # whose first refusal would be the claim's
    if not on_claim:
        elsewhere(FULL.format(table=table))

    with mended_after(3, lambda: elsewhere(EMPTIED)) as refusals:
        if on_claim:
            elsewhere(FULL.format(table=table))
            for _ in range(3):
                run_next(heart)  # nothing can be taken
        run_next(heart)

    job = job_row(job_id)
    assert refusals[:3] == ["53100"] * 3
    assert (job.status, job.attempt) == ("succeeded", 1)
    assert job.weights_sha256 == job_row(calm).weights_sha256


def test_a_training_whose_connections_are_cut_goes_on_in_the_same_attempt(
    submit: Submit, heart: Heart
) -> None:
    calm, job_id = submit(), submit(priority=1)
    run_next(heart)
    elsewhere(
        """CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
           CREATE TRIGGER cut AFTER INSERT ON checkpoints EXECUTE FUNCTION cut()"""
    )

    with mended_after(2, lambda: elsewhere("DROP FUNCTION cut CASCADE")) as refusals:
        run_next(heart)

    job = job_row(job_id)
    assert refusals == ["57P01"] * 2
    assert (job.status, job.attempt) == ("succeeded", 1)
    assert job.weights_sha256 == job_row(calm).weights_sha256
