"""One job on two devices: real processes that torch's launcher starts, and the same curve as one."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from shared.db.checkpoints import CheckpointStore
from shared.db.engine import transaction
from shared.db.jobs import JobStore
from shared.db.tables import JobRow
from shared.jobs.states import Verb
from tests.integration.workers.commands import wait_for_workers, wake, worker_command
from tests.integration.workers.conftest import Submit, job_row
from tests.integration.workers.test_concurrency import lines_of
from tests.integration.workers.test_stopping import curve
from tests.servers import is_alive, proc_file, processes, wait_for
from workers import launch
from workers.lease import Heart
from workers.runner import run_next

TWO = {"device": "cpu", "devices": 2}
WAIT_S = 150


def values(job: JobRow, name: str) -> list[float]:
    return [value for _, value in curve(job.id, name)]


@pytest.mark.parametrize(
    ("dataset", "training"),
    [
        ("surnames", {"batch_size": 61, "max_steps": 40}),  # ragged: one output a sequence
        ("highlight", {"batch_size": 7, "max_steps": 12, "tbptt_steps": 40}),  # rows that end early
        ("copy-3", {"batch_size": 1333, "max_steps": 12, "epochs": 3}),  # a last batch of one row
        ("pydocs", {"batch_size": 3, "max_steps": 12}),  # lanes that are carried on
        ("names-by-locale", {"batch_size": 5, "max_steps": 12}),  # texts of ragged lengths
    ],
)
def test_two_devices_draw_the_curve_of_one(
    finished: Callable[..., JobRow], dataset: str, training: dict[str, Any]
) -> None:
    wanted = {"training": {"epochs": 1, **training}, "checkpoint": {"every_steps": 5}}
    one = finished(dataset, **wanted)
    two = finished(dataset, **wanted, resources=TWO)

    assert (one.status, two.status) == ("succeeded", "succeeded"), two.error
    assert len(values(two, "train/loss")) == training["max_steps"]
    for name in ("train/loss", "train/grad_norm", "val/loss"):
        assert values(two, name) == pytest.approx(values(one, name), rel=1e-5, abs=1e-5)
    assert two.progress["step"] == one.progress["step"]
    assert set(two.latest) == set(one.latest)


def ranks() -> dict[int, int]:
    """The pid of every living process of a job on several devices, by rank."""
    found = {}
    for pid in processes():
        if "workers.rank" in proc_file(pid, "cmdline").split("\0") and is_alive(pid):
            environ = proc_file(pid, "environ").split("\0")
            told = dict(each.split("=", 1) for each in environ if "=" in each)
            if told.get("UNROLL_DATABASE_URL") == os.environ["UNROLL_DATABASE_URL"]:
                found[int(told["RANK"])] = pid
    return found


def steps_of(job_id: str) -> int:
    return int(job_row(job_id).progress.get("step", 0))


@contextmanager
def meanwhile(job_id: str, beyond: int, act: Callable[[], object]) -> Iterator[None]:
    """Do something from outside once the job was seen to have taken more steps than that."""
    done = []

    def wait_and_act() -> None:
        done.append(wait_for(lambda: steps_of(job_id) > beyond, WAIT_S))
        act()

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    yield
    thread.join(WAIT_S)
    assert done == [True]


def test_a_job_handed_back_and_then_struck_ends_with_the_weights_of_a_calm_one(
    submit: Submit, heart: Heart, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: dict[str, Any] = {
        "network": {"cell": "elman", "dropout": 0.2},
        "training": {"batch_size": 5, "max_steps": 400, "epochs": 1, "tbptt_steps": 16},
        "resources": TWO,
    }
    calm = submit("pydocs", **wanted)
    run_next(heart)
    troubled = submit("pydocs", **wanted)

    draining = threading.Event()
    with monkeypatch.context() as patch, meanwhile(troubled, 0, draining.set):
        patch.setattr(launch, "is_draining", draining.is_set)
        run_next(heart)
    released = job_row(troubled)
    stopped_at = steps_of(troubled)
    with meanwhile(troubled, stopped_at, lambda: os.kill(ranks()[1], signal.SIGKILL)):
        run_next(heart)
    struck = job_row(troubled)
    with transaction() as db:
        db.execute(text("UPDATE jobs SET not_before = now()"))
    run_next(heart)

    assert (released.status, struck.status) == ("queued", "queued")
    assert str(struck.status_reason).startswith("attempt 2 lost a process on test-worker; try 2")
    with transaction() as db:
        attempts = JobStore(db).attempts([troubled])[troubled]
    outcomes = [(attempt.outcome, attempt.resumed_from_step) for attempt in attempts]
    assert outcomes == [("released", None), ("lost", stopped_at), ("succeeded", stopped_at)]
    assert 0 < stopped_at < 400
    assert job_row(troubled).weights_sha256 == job_row(calm).weights_sha256
    assert curve(troubled, "train/loss") == curve(calm, "train/loss")
    assert ranks() == {}


@pytest.mark.parametrize(("verb", "status"), [(Verb.CANCEL, "cancelled"), (Verb.PAUSE, "paused")])
def test_a_job_stopped_by_its_user_stops_on_all_devices_and_keeps_its_checkpoint(
    submit: Submit, heart: Heart, verb: Verb, status: str
) -> None:
    def act() -> None:
        with transaction() as db:
            JobStore(db).act(job_id, verb)

    job_id = submit(network={"cell": "elman"}, training={"epochs": 100_000}, resources=TWO)
    with meanwhile(job_id, 0, act):
        run_next(heart)

    assert job_row(job_id).status == status
    with transaction() as db:
        kept = [row.step for row, _ in CheckpointStore(db).of_job(job_id)]
    assert steps_of(job_id) in kept
    assert ranks() == {}


def test_a_fault_of_the_job_is_not_taken_for_one_of_a_machine(
    finished: Callable[..., JobRow],
) -> None:
    job = finished(
        "sunspots",
        network={"cell": {"type": "elman", "activation": "relu"}, "hidden_size": 64},
        training={
            "epochs": 50,
            "batch_size": 8,
            "clip_norm": None,
            "optimizer": {"type": "sgd", "lr": 1000.0},
        },
        resources=TWO,
    )

    assert job.error is not None
    assert (job.status, job.attempt) == ("failed", 1)
    assert (job.error["code"], job.error["class"]) == ("loss_not_finite", "user")


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, "queued"), (signal.SIGKILL, "running")]
)
def test_a_worker_takes_the_processes_of_its_job_with_it(
    submit: Submit, redis_url: str, tmp_path: Path, number: signal.Signals, status: str
) -> None:
    job_id = submit(network={"cell": "elman"}, training={"epochs": 100_000}, resources=TWO)
    with transaction() as db:
        JobStore(db).get(job_id).request_id = "req_1"
    log = tmp_path / "worker.log"
    with worker_command(log, "--device", "cpu") as command:
        wait_for_workers(1)
        wake(job_id)
        assert wait_for(lambda: steps_of(job_id) > 0, WAIT_S)
        assert set(ranks()) == {0, 1}

        command.send_signal(number)

        assert wait_for(lambda: ranks() == {}, WAIT_S)
        command.wait(WAIT_S)
    assert job_row(job_id).status == status
    [begun] = lines_of(log, "training starts")
    ids = (begun["request_id"], begun["job_id"], begun["attempt"], begun["rank"])
    assert ids == ("req_1", job_id, 1, 0)
