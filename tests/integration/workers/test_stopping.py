"""How a running attempt ends before its time: cancelled, released, fenced off; and how it goes on."""

import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from sqlalchemy import text

from shared.config import get_settings
from shared.db.checkpoints import CheckpointStore
from shared.db.engine import transaction
from shared.db.jobs import JobStore
from shared.db.leases import LeaseStore
from shared.db.metrics import MetricStore
from shared.jobs.errors import LeaseLost
from shared.jobs.states import Verb
from tests.integration.workers.conftest import Submit, job_row
from workers import lease as lease_module
from workers.lease import Heart, Lease
from workers.recorder import Recorder
from workers.runner import run_next
from workers.saver import Saver

LONG = {"epochs": 100_000}


def at_step(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[str], None]) -> None:
    """Do something from outside just after the training took its step with this number."""
    original = Recorder.step

    def step(self: Recorder, step: object) -> None:
        original(self, step)  # type: ignore[arg-type]
        if self.plan.training.position.step == number:
            act(self.lease.job_id)

    monkeypatch.setattr(Recorder, "step", step)


def test_a_cancelled_job_stops_and_keeps_its_checkpoint(
    submit: Submit, heart: Heart, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancel(job_id: str) -> None:
        with transaction() as db:
            JobStore(db).act(job_id, Verb.CANCEL)
        heart.beat()

    job_id = submit(training=LONG)
    at_step(monkeypatch, 5, cancel)

    run_next(heart)

    job = job_row(job_id)
    assert (job.status, job.worker, job.lease_until) == ("cancelled", None, None)
    with transaction() as db:
        assert [row.step for row, _ in CheckpointStore(db).of_job(job_id)] == [5]
        assert [a.outcome for a in JobStore(db).attempts([job_id])[job_id]] == ["cancelled"]


@pytest.mark.parametrize("num_steps", [3, 8, 11])
def test_a_released_job_goes_on_where_it_stopped_and_ends_with_the_same_weights(
    submit: Submit, heart: Heart, monkeypatch: pytest.MonkeyPatch, num_steps: int
) -> None:
    calm = submit(network={"dropout": 0.2})
    run_next(heart)
    released = submit(network={"dropout": 0.2})
    with monkeypatch.context() as patch:
        at_step(
            patch, num_steps, lambda _: patch.setattr(lease_module, "is_draining", lambda: True)
        )
        run_next(heart)
    assert job_row(released).status == "queued"

    run_next(heart)

    job = job_row(released)
    assert job.status == "succeeded"
    assert job.weights_sha256 == job_row(calm).weights_sha256
    with transaction() as db:
        first, second = JobStore(db).attempts([released])[released]
    assert (first.outcome, second.resumed_from_step) == ("released", num_steps)
    for name in ("train/loss", "val/loss"):
        assert curve(released, name) == curve(calm, name)


@pytest.mark.parametrize(("first", "then"), [(Verb.PAUSE, Verb.RESUME), (Verb.CANCEL, Verb.RETRY)])
@pytest.mark.parametrize("num_steps", [3, 8])
def test_a_job_stopped_by_its_user_goes_on_exactly(
    submit: Submit,
    heart: Heart,
    monkeypatch: pytest.MonkeyPatch,
    first: Verb,
    then: Verb,
    num_steps: int,
) -> None:
    def stop(job_id: str) -> None:
        with transaction() as db:
            JobStore(db).act(job_id, first)
        heart.beat()

    stopping = {"early_stopping": {"metric": "val/loss", "patience": 1, "mode": "min"}}
    wanted = {"network": {"dropout": 0.2}, "training": stopping}
    calm = submit(**wanted)
    run_next(heart)
    stopped = submit(**wanted)
    with monkeypatch.context() as patch:
        at_step(patch, num_steps, stop)
        run_next(heart)
    assert job_row(stopped).status == {"pause": "paused", "cancel": "cancelled"}[first]

    with transaction() as db:
        JobStore(db).act(stopped, then)
    run_next(heart)

    job = job_row(stopped)
    assert (job.status, job.weights_sha256) == ("succeeded", job_row(calm).weights_sha256)
    assert curve(stopped, "val/loss") == curve(calm, "val/loss")
    with transaction() as db:
        assert JobStore(db).attempts([stopped])[stopped][1].resumed_from_step == num_steps


@pytest.mark.parametrize(
    ("first", "then", "status"),
    [
        ("pause", Verb.CANCEL, "cancelled"),
        ("drain", Verb.CANCEL, "cancelled"),
        ("drain", Verb.PAUSE, "paused"),
    ],
)
def test_a_wish_that_comes_while_the_attempt_is_ending_counts(
    submit: Submit,
    heart: Heart,
    monkeypatch: pytest.MonkeyPatch,
    first: str,
    then: Verb,
    status: str,
) -> None:
    def act(job_id: str, verb: Verb) -> None:
        with transaction() as db:
            JobStore(db).act(job_id, verb)

    def stop(job_id: str) -> None:
        if first == "pause":
            act(job_id, Verb.PAUSE)
            heart.beat()
        else:
            monkeypatch.setattr(lease_module, "is_draining", lambda: True)

    def save(self: Saver, metrics: dict[str, float]) -> None:
        original(self, metrics)
        act(self.lease.job_id, then)

    original = Saver.save
    monkeypatch.setattr(Saver, "save", save)  # the first one, because the training stops there
    job_id = submit(training=LONG)
    at_step(monkeypatch, 3, stop)
    run_next(heart)

    assert job_row(job_id).status == status
    with transaction() as db:
        assert [a.outcome for a in JobStore(db).attempts([job_id])[job_id]] == [status]


def curve(job_id: str, name: str) -> list[tuple[int, float]]:
    with transaction() as db:
        return [(p.step, p.value) for p in MetricStore(db).series(job_id, name, 100)]


def test_an_attempt_whose_job_was_taken_over_writes_nothing_more(
    submit: Submit, heart: Heart, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take_over(job_id: str) -> None:
        with transaction() as db:
            db.execute(text("UPDATE jobs SET lease_until = now() - interval '1 second'"))
            LeaseStore(db).rescue_expired()
            db.execute(text("UPDATE jobs SET not_before = now()"))
        with transaction() as db:
            assert LeaseStore(db).claim("other-worker", "cpu", 30) is not None

    job_id = submit(training=LONG)
    at_step(monkeypatch, 3, take_over)

    run_next(heart)  # it notices at its next write or heartbeat

    job = job_row(job_id)
    assert (job.status, job.worker, job.attempt) == ("running", "other-worker", 2)
    with transaction() as db:
        outcomes = [a.outcome for a in JobStore(db).attempts([job_id])[job_id]]
    assert outcomes == ["lost", None]


def test_a_lease_that_could_not_be_renewed_ends_the_attempt(database_url: str) -> None:
    lease = Lease("job_1", 1, lease_s=-1.0)

    with pytest.raises(LeaseLost):
        lease.check()


def test_the_heart_beats_by_itself_and_signs_off(database_url: str) -> None:
    beaten = threading.Event()

    class Watched(Heart):
        def beat(self) -> None:
            super().beat()
            beaten.set()

    heart = Watched("w", "cpu")
    heart.start()
    assert beaten.wait(60)
    heart.stop()
    heart.join(60)

    with transaction() as db:
        assert db.execute(text("SELECT count(*) FROM workers")).scalar() == 0


def test_the_lease_lasts_longer_than_a_few_heartbeats(database_url: str) -> None:
    assert get_settings().lease_s >= lease_module.LONGEST_BEAT_S * 3


def test_the_main_process_loads_torch_but_never_touches_cuda() -> None:
    code = (
        "import sys, workers.tasks, torch;"
        "print('torch' in sys.modules, torch.cuda.is_initialized())"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert answer.stdout.split() == ["True", "False"]
