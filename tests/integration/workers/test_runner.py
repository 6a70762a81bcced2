"""Jobs from queued to their end, on a real database."""

import math
from collections.abc import Callable

import pytest
import torch
from sqlalchemy import text

from shared.db.checkpoints import CheckpointStore
from shared.db.counters import CounterStore
from shared.db.engine import transaction
from shared.db.events import EventStore
from shared.db.jobs import JobStore
from shared.db.leases import LeaseStore
from shared.db.metrics import MetricStore
from shared.db.models import ModelStore
from shared.db.tables import JobRow
from shared.jobs.states import Verb
from shared.queue import num_messages
from tests.integration.seeding import settings
from tests.integration.workers.commands import put_off
from tests.integration.workers.conftest import Submit, job_row
from workers.faults import explain
from workers.lease import Heart
from workers.recorder import Recorder
from workers.runner import run_next
from workers.training.loop import Step

Finished = Callable[..., JobRow]


def test_a_job_ends_succeeded_with_curves_checkpoints_and_a_published_network(
    finished: Finished,
) -> None:
    job = finished(training={"epochs": 3}, checkpoint={"keep_best": 1, "keep_last": 2})

    assert (job.status, job.error, job.kernel) == ("succeeded", None, "unroll.compiled")
    assert job.progress["fraction"] == 1.0
    assert job.best is not None
    assert job.best["metric"] == "val/loss"
    assert {"train/loss", "val/loss", "val/token_accuracy", "test/loss"} <= set(job.latest)
    with transaction() as db:
        curves = MetricStore(db)
        assert [p.step for p in curves.series(job.id, "train/loss", 100)] == list(range(1, 25))
        assert [p.step for p in curves.series(job.id, "val/loss", 100)] == [8, 16, 24]
        assert [p.step for p in curves.series(job.id, "train/padding_share", 9)] == [8, 16, 24]
        norms = [p.value for p in curves.series(job.id, "train/grad_norm", 100)]
        assert len(norms) == 24
        assert all(norm > 0 for norm in norms)
        kept = [(row.step, row.is_best) for row, _ in CheckpointStore(db).of_job(job.id)]
        version = ModelStore(db).version(job.model_name or "")
        attempts = JobStore(db).attempts([job.id])[job.id]
    assert kept in (
        [(24, True), (16, False)],
        [(24, False), (16, True)],
        [(24, False), (16, False), (8, True)],
    )
    assert (version.version, version.weights_sha256) == (1, job.weights_sha256)
    assert {"val/loss", "test/loss"} <= set(version.metrics)
    assert [(a.number, a.outcome, a.resumed_from_step) for a in attempts] == [
        (1, "succeeded", None)
    ]


def test_what_is_published_was_checked(finished: Finished) -> None:
    job = finished()
    with transaction() as db:
        checks = ModelStore(db).version(job.model_name or "").checks

    assert (checks["status"], checks["reason"]) == ("passed", None)
    assert checks["max_difference"] <= checks["tolerance"]
    assert checks["latency_ms"] > 0


def test_a_network_that_fails_its_checks_is_not_published_and_its_job_says_why(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.nn.checks.TOLERANCE", -1.0)
    job = finished()
    with transaction() as db:
        events = EventStore(db).after(job.id, 0, 1000)
        model = ModelStore(db).find(job.model_name or "")

    assert (job.status, job.model_version, model) == ("succeeded", None, None)
    assert job.status_reason is not None
    assert job.status_reason.startswith("not published: a step at a time its outputs differ")
    said = [event.data for event in events if event.type == "log"]
    assert said == [{"level": "warning", "message": job.status_reason}]


def test_its_events_tell_the_story_in_order(finished: Finished) -> None:
    job = finished()

    with transaction() as db:
        events = EventStore(db).after(job.id, 0, 1000)

    statuses = [event.data["status"] for event in events if event.type == "status"]
    assert statuses == ["queued", "running", "succeeded"]
    assert {event.type for event in events} == {"status", "metric", "checkpoint"}
    assert [event.number for event in events] == sorted(event.number for event in events)
    assert events[-1].data["status"] == "succeeded"


def test_what_it_did_is_counted(finished: Finished) -> None:
    job = finished()
    with transaction() as db:
        events = EventStore(db).after(job.id, 0, 1000)
        counted = CounterStore(db).all()

    num_checkpoints = sum(event.type == "checkpoint" for event in events)
    assert num_checkpoints > 0
    assert counted["checkpoints"] == {"": num_checkpoints}
    assert counted["checkpoint_bytes"][""] > 1000 * num_checkpoints
    assert (counted["claims"], counted["attempts"]) == ({"": 1}, {"succeeded": 1})


def test_a_second_job_of_the_same_model_becomes_its_next_version(finished: Finished) -> None:
    first, second = finished(model_name="m"), finished(model_name="m")

    assert (first.model_version, second.model_version) == (1, 2)
    assert first.weights_sha256 == second.weights_sha256


def test_a_plateau_lowers_the_rate_that_the_curve_shows(finished: Finished) -> None:
    watched = {"type": "plateau", "metric": "val/loss", "mode": "max", "patience": 1, "factor": 0.1}
    job = finished(training={"epochs": 3, "schedule": watched})

    with transaction() as db:
        rates = [point.value for point in MetricStore(db).series(job.id, "train/lr", 100)]

    # the loss falls, so that nothing beats the first epoch's: a drop after the second
    assert rates == pytest.approx([0.001] * 16 + [0.0001] * 8)
    assert job.latest["train/lr"] == pytest.approx(0.0001)


def test_bf16_without_cuda_fails_and_says_what_to_do(submit: Submit) -> None:
    job_id = submit(training={"precision": "bf16"}, max_attempts=3)

    run_next(Heart("test-worker", "cpu"))

    job = job_row(job_id)
    assert (job.status, job.attempt) == ("failed", 1)
    assert job.error is not None
    assert (job.error["code"], job.error["class"]) == ("no_cuda", "resource")
    assert "set training.precision to fp32" in job.error["message"]


@pytest.mark.parametrize(
    ("dataset", "metric"),
    [
        ("digits", "test/accuracy"),
        ("digits-flat", "test/accuracy"),
        ("names-by-locale", "test/edit_rate"),
        ("dates", "test/exact_match"),
        ("sunspots", "test/mae"),
        ("adding-5", "test/mse"),
        ("pydocs", "test/bits_per_token"),
        ("highlight", "test/token_accuracy"),
        ("surnames", "test/f1_macro"),
    ],
)
def test_every_built_in_dataset_trains(finished: Finished, dataset: str, metric: str) -> None:
    job = finished(dataset, training={"epochs": 1, "max_steps": 2})

    assert job.status == "succeeded"
    assert math.isfinite(job.latest[metric])


def test_max_steps_in_the_middle_of_an_epoch_still_ends_with_an_evaluation(
    finished: Finished,
) -> None:
    job = finished(training={"max_steps": 3})

    assert job.status == "succeeded"
    assert job.best is not None
    assert job.best["step"] == 3
    assert job.progress["total_steps"] == 3


def test_early_stopping_ends_a_job_that_no_longer_improves(finished: Finished) -> None:
    never = {"metric": "val/token_accuracy", "mode": "min", "patience": 2}
    job = finished(
        training={"epochs": 50, "early_stopping": never, "optimizer": {"type": "adam", "lr": 0.01}}
    )

    assert job.status == "succeeded"
    assert job.progress["epoch"] < 50
    assert job.best is not None
    assert job.progress["step"] == job.best["step"] + 2 * 8


def test_a_loss_that_is_not_finite_fails_the_job_and_says_what_to_change(
    finished: Finished,
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
        max_attempts=5,
    )

    assert job.status == "failed"
    assert job.error is not None
    assert (job.error["code"], job.error["class"]) == ("loss_not_finite", "user")
    assert "lower learning rate than 1000" in job.error["message"]
    assert "clip_norm" in job.error["message"]
    assert "in a batch of the records" in job.error["message"]
    details = job.error["details"]
    assert len(set(details["records"])) == len(details["records"]) == 8
    assert details["grad_norm_before"] is None or details["grad_norm_before"] > 0
    assert job.attempt == 1


def test_a_job_that_runs_too_long_fails_and_keeps_what_it_had(finished: Finished) -> None:
    job = finished(training={"epochs": 1000}, resources={"max_runtime_s": 0.01})

    assert job.status == "failed"
    assert job.error is not None
    assert job.error["code"] == "max_runtime_exceeded"
    assert job.model_version is None


def test_damaged_data_fails_the_job_as_a_fault_of_the_data(submit: Submit, heart: Heart) -> None:
    job_id = submit()
    with transaction() as db:
        db.execute(text("UPDATE blob_chunks SET data = set_byte(data, 9, 255 - get_byte(data, 9))"))

    run_next(heart)

    job = job_row(job_id)
    assert job.error is not None
    assert (job.status, job.error["code"], job.error["class"]) == ("failed", "corrupt_blob", "data")


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (MemoryError("Unable to allocate 7.45 GiB for an array"), "7.45 GiB"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "2.00 GiB"),
        (
            RuntimeError(
                "DefaultCPUAllocator: can't allocate memory: you tried to allocate 1073741824 bytes."
            ),
            "1.02e+03 MiB",
        ),
    ],
)
def test_memory_that_ran_out_is_told_with_what_was_asked_for(error: Exception, asked: str) -> None:
    fault = explain(error, 2**21)

    assert (fault.code, fault.cls) == ("out_of_memory", "resource")
    assert f"asked for {asked}" in fault.message
    assert "2 MiB" in fault.message
    assert "batch_size" in fault.message


def broken_once(monkeypatch: pytest.MonkeyPatch, number: int, error: Exception) -> None:
    """Raise at the step with this number, the first time that it is taken."""
    original = Recorder.step
    raised: list[int] = []

    def step(self: Recorder, step: Step) -> None:
        original(self, step)
        if step.number == number and not raised:
            raised.append(number)
            raise error

    monkeypatch.setattr(Recorder, "step", step)


def test_a_fault_of_the_machine_is_tried_again_from_the_last_checkpoint(
    submit: Submit, heart: Heart, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm, job_id = submit(), submit(max_attempts=2)
    run_next(heart)
    broken_once(monkeypatch, 11, OSError(5, "Input/output error"))
    run_next(heart)

    job = job_row(job_id)
    assert (job.status, job.error) == ("queued", None)
    assert "OSError" in (job.status_reason or "")
    assert "try 2 of 2 follows in 2 s" in (job.status_reason or "")
    put_off("1 hour")  # however slow this machine is
    run_next(heart)
    assert job_row(job_id).attempt == 1
    put_off("0")
    run_next(heart)
    job = job_row(job_id)
    assert (job.status, job.weights_sha256) == ("succeeded", job_row(calm).weights_sha256)
    with transaction() as db:
        attempts = JobStore(db).attempts([job_id])[job_id]
    assert [(a.outcome, a.resumed_from_step) for a in attempts] == [
        ("failed", None),
        ("succeeded", 8),
    ]


def test_the_last_attempt_that_the_machine_fails_fails_the_job(
    submit: Submit, heart: Heart, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = submit(max_attempts=1)
    broken_once(monkeypatch, 3, OSError(5, "Input/output error"))
    run_next(heart)

    job = job_row(job_id)
    assert job.error is not None
    assert (job.status, job.error["class"]) == ("failed", "infra")
    assert "1 of 1" in job.error["message"]


def test_memory_that_ran_out_is_not_tried_again(
    submit: Submit, heart: Heart, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = submit(max_attempts=5)
    broken_once(monkeypatch, 3, MemoryError("Unable to allocate 7.45 GiB"))
    run_next(heart)

    job = job_row(job_id)
    assert job.error is not None
    assert (job.status, job.error["code"], job.attempt) == ("failed", "out_of_memory", 1)


def test_the_time_of_earlier_attempts_counts_and_a_retry_grants_it_anew(
    submit: Submit, heart: Heart
) -> None:
    job_id = submit(resources={"max_runtime_s": 1000})
    with transaction() as db:
        assert LeaseStore(db).claim("gone", "cpu", 30) is not None
        db.execute(text("UPDATE attempts SET started_at = now() - interval '2000 s'"))
        db.execute(text("UPDATE jobs SET lease_until = now() - interval '1 s'"))
        LeaseStore(db).rescue_expired()
    put_off("0")
    run_next(heart)
    job = job_row(job_id)
    assert job.error is not None
    assert job.error["code"] == "max_runtime_exceeded"

    with transaction() as db:
        JobStore(db).act(job_id, Verb.RETRY)
    run_next(heart)

    assert job_row(job_id).status == "succeeded"


@pytest.mark.parametrize(("cap", "num_wake_ups"), [("0", 0), ("1", 1)])
def test_a_slot_that_the_cap_kept_from_others_is_offered_when_it_is_free(
    submit: Submit, heart: Heart, redis_url: str, cap: str, num_wake_ups: int
) -> None:
    submit(training={"max_steps": 1})

    with settings(max_running_jobs=cap):
        run_next(heart)
        offered = num_messages()
        run_next(heart)  # nothing waits: the offer is not repeated

        assert (offered, num_messages()) == (num_wake_ups, num_wake_ups)


def test_a_job_whose_dataset_was_deleted_takes_no_other_of_that_name(
    submit: Submit, heart: Heart
) -> None:
    job_id = submit()
    with transaction() as db:
        db.execute(text("UPDATE jobs SET dataset_id = NULL"))

    run_next(heart)

    job = job_row(job_id)
    assert job.error is not None
    assert (job.status, job.error["code"], job.error["class"]) == ("failed", "dataset_gone", "data")


def test_an_empty_queue_is_a_quiet_end(heart: Heart) -> None:
    run_next(heart)

    with transaction() as db:
        assert JobStore(db).count_by_status() == {}


def test_the_most_urgent_job_is_taken_first(submit: Submit, heart: Heart) -> None:
    late, urgent = submit(priority=2), submit(priority=8)

    run_next(heart)

    assert job_row(urgent).status == "succeeded"
    assert job_row(late).status == "queued"


def test_a_job_that_needs_cuda_waits_for_a_worker_that_has_it(submit: Submit, heart: Heart) -> None:
    job_id = submit(resources={"device": "cuda"})

    run_next(heart)

    assert job_row(job_id).status == "queued"
