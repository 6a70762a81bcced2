"""Claims, leases, fencing and rescue, against a real database."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier

import pytest
from sqlalchemy.exc import IntegrityError

from shared.db.engine import transaction
from shared.db.events import EventStore
from shared.db.jobs import JobStore
from shared.db.leases import LeaseStore, backoff_s
from shared.db.tables import AttemptRow, JobRow
from shared.jobs.errors import LeaseLost
from shared.jobs.states import JobStatus, Verb
from shared.sweeper import sweep
from tests.integration.db.conftest import Enqueue
from tests.integration.seeding import (
    claim,
    claimed,
    count_rows,
    execute,
    fail,
    job_row,
    save,
    settings,
    settle,
    succeed,
    write_curve,
)


def claim_all(worker: str, start: Barrier) -> list[str]:
    start.wait()
    taken = []
    while (job := claim(worker)) is not None:
        taken.append(job.id)
    return taken


def let_leases_expire() -> None:
    execute(
        "UPDATE jobs SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL"
    )


def rescue() -> int:
    with transaction() as db:
        return LeaseStore(db).rescue_expired()


def attempts(job_id: str) -> list[AttemptRow]:
    with transaction() as db:
        return JobStore(db).attempts([job_id])[job_id]


def test_each_of_200_jobs_goes_to_exactly_one_of_four_claimers(enqueue: Enqueue) -> None:
    ids = enqueue(200)
    start = Barrier(4)
    with ThreadPoolExecutor(4) as threads:
        taken = list(threads.map(lambda n: claim_all(f"w{n}", start), range(4)))

    assert sorted(job_id for some in taken for job_id in some) == sorted(ids)
    assert sum(1 for some in taken if some) > 1
    assert count_rows()["attempts"] == 200


def test_the_most_urgent_and_then_the_oldest_job_is_claimed(enqueue: Enqueue) -> None:
    [low], [first, second], [urgent] = (
        enqueue(1, priority=1),
        enqueue(2, priority=5),
        enqueue(1, priority=9),
    )

    assert [claimed().id for _ in range(4)] == [urgent, first, second, low]
    assert claim() is None


def test_a_job_for_cuda_waits_for_a_worker_that_has_it(enqueue: Enqueue) -> None:
    [gpu] = enqueue(1, resources={"device": "cuda"}, priority=9)
    [any_] = enqueue(1, resources={"device": "auto"})

    assert claimed().id == any_
    assert claim(device="cpu") is None
    job = claim(device="cuda", num_gpus=1)
    assert job is not None
    assert job.id == gpu


def test_a_claim_begins_an_attempt_with_a_lease(enqueue: Enqueue) -> None:
    enqueue()
    job = claimed("worker-1")

    assert (job.status, job.attempt, job.worker) == ("running", 1, "worker-1")
    assert job.lease_until is not None
    assert 25 < (job.lease_until - datetime.now(UTC)).total_seconds() <= 30
    [attempt] = attempts(job.id)
    assert (attempt.number, attempt.worker, attempt.device) == (1, "worker-1", "cpu")


@pytest.mark.parametrize(
    ("device", "devices", "num_gpus", "fits"),
    [
        ("cuda", 1, 0, False),
        ("cuda", 1, 1, True),
        ("cuda", 2, 1, False),
        ("cuda", 2, 4, True),
        ("auto", 2, 0, True),  # two processes on its cores
        ("auto", 2, 1, False),
        ("auto", 2, 2, True),
        ("cpu", 2, 1, True),
    ],
)
def test_a_worker_takes_a_job_that_it_has_devices_for(
    enqueue: Enqueue, device: str, devices: int, num_gpus: int, fits: bool
) -> None:
    enqueue(resources={"device": device, "devices": devices})

    job = claim(num_gpus=num_gpus)

    assert (job is not None) == fits


def test_a_claim_that_is_rolled_back_was_none(enqueue: Enqueue) -> None:
    [job_id] = enqueue()

    def crash() -> None:
        with transaction() as db:
            assert LeaseStore(db).claim("w", "cpu", 30) is not None
            raise RuntimeError("crashed")

    with pytest.raises(RuntimeError, match="crashed"):
        crash()
    assert job_row(job_id).status == "queued"
    assert claimed().attempt == 1


def test_a_renewal_extends_the_lease_and_tells_the_wish_of_the_user(enqueue: Enqueue) -> None:
    enqueue()
    job = claimed()
    execute("UPDATE jobs SET lease_until = now() + interval '1 second'")
    with transaction() as db:
        assert LeaseStore(db).renew(job.id, 1, 60) == JobStatus.RUNNING
    with transaction() as db:
        JobStore(db).act(job.id, Verb.CANCEL)
    with transaction() as db:
        assert LeaseStore(db).renew(job.id, 1, 60) == JobStatus.CANCELLING

    lease_until = job_row(job.id).lease_until
    assert lease_until is not None
    assert (lease_until - datetime.now(UTC)).total_seconds() > 50


def taken_over() -> JobRow:
    """The job as its first attempt knows it, after a second one began."""
    old = claimed("first")
    let_leases_expire()
    assert rescue() == 1
    execute("UPDATE jobs SET not_before = now()")
    assert claimed("second").attempt == 2
    return old


WRITES: dict[str, Callable[[JobRow], object]] = {
    "metrics": lambda job: write_curve(job, [1.0]),
    "a checkpoint": save,
    "success": succeed,
    "failure": fail,
    "a cancellation": lambda job: settle(job, JobStatus.CANCELLED, "cancelled"),
    "a release": lambda job: settle(job, JobStatus.QUEUED, "released"),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_an_attempt_that_was_replaced_writes_nothing(
    enqueue: Enqueue, write: Callable[[JobRow], object]
) -> None:
    enqueue()
    old = taken_over()
    before = count_rows()

    with pytest.raises(LeaseLost, match="attempt 1 no longer owns"):
        write(old)
    assert count_rows() == before
    assert job_row(old.id).status == "running"
    with transaction() as db:
        assert LeaseStore(db).renew(old.id, 1, 30) is None


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_an_attempt_that_ended_writes_nothing(
    enqueue: Enqueue, write: Callable[[JobRow], object]
) -> None:
    enqueue()
    job = claimed()
    fail(job)
    before = count_rows()

    with pytest.raises(LeaseLost):
        write(job)
    assert count_rows() == before


def test_an_old_attempt_waits_for_the_new_one_and_then_learns_of_it(enqueue: Enqueue) -> None:
    enqueue()
    old = claimed("first")
    let_leases_expire()
    with ThreadPoolExecutor(1) as thread:
        with transaction() as db:
            assert LeaseStore(db).rescue_expired() == 1
            late = thread.submit(write_curve, old, [1.0])
        with pytest.raises(LeaseLost):
            late.result(30)

    assert count_rows()["metrics"] == 0


def test_a_lease_that_holds_is_left_alone(enqueue: Enqueue) -> None:
    enqueue(2)
    claimed()

    assert rescue() == 0


def test_a_job_whose_worker_is_lost_waits_again_but_not_at_once(enqueue: Enqueue) -> None:
    [job_id] = enqueue()
    claimed("gone")
    let_leases_expire()
    assert rescue() == 1

    job = job_row(job_id)
    reason = "attempt 1 lost its worker gone; try 2 of 3 follows in 2 s"
    assert (job.status, job.status_reason, job.error) == ("queued", reason, None)
    assert (job.worker, job.lease_until, job.dispatched_at) == (None, None, None)
    [attempt] = attempts(job_id)
    assert attempt.outcome == "lost"
    assert attempt.ended_at is not None
    wait_s = (job.not_before - attempt.ended_at).total_seconds()
    assert wait_s == pytest.approx(2, abs=0.01)
    execute("UPDATE jobs SET not_before = not_before + interval '1 hour'")  # however slow we are
    assert claim() is None


def test_each_loss_doubles_the_wait_up_to_a_bound(enqueue: Enqueue) -> None:
    [job_id] = enqueue(1, max_attempts=100)
    waits = []
    for _ in range(8):
        claimed()
        let_leases_expire()
        rescue()
        lost_at = max(each.ended_at for each in attempts(job_id) if each.ended_at)
        waits.append((job_row(job_id).not_before - lost_at).total_seconds())
        execute("UPDATE jobs SET not_before = now()")

    assert waits == pytest.approx([2, 4, 8, 16, 32, 60, 60, 60], abs=0.01)


def test_the_operator_chooses_the_first_wait_and_the_longest(seeded: None) -> None:
    with settings(retry_base_s="0.5", retry_cap_s="3"):
        waits = [backoff_s(num_tries) for num_tries in (1, 2, 3, 4, 5, 100)]

    assert waits == [0.5, 1.0, 2.0, 3.0, 3.0, 3.0]


def test_a_job_that_lost_all_its_attempts_fails_and_says_why(enqueue: Enqueue) -> None:
    [job_id] = enqueue(1, max_attempts=2)
    for worker in ("first", "second"):
        claimed(worker)
        let_leases_expire()
        rescue()
        execute("UPDATE jobs SET not_before = now()")

    job = job_row(job_id)
    assert job.status == "failed"
    assert job.finished_at is not None
    assert job.error is not None
    assert (job.error["code"], job.error["class"]) == ("lost_worker", "infra")
    assert "2 of 2" in job.error["message"]
    assert "second" in job.error["message"]
    assert [attempt.outcome for attempt in attempts(job_id)] == ["lost", "lost"]


def test_an_attempt_that_was_handed_back_counts_as_no_loss(enqueue: Enqueue) -> None:
    [job_id] = enqueue(1, max_attempts=1)
    for _ in range(3):
        settle(claimed(), JobStatus.QUEUED, "released")

    assert job_row(job_id).status == "queued"
    assert [attempt.outcome for attempt in attempts(job_id)] == ["released"] * 3


def test_a_job_that_was_to_be_cancelled_is_when_its_worker_is_lost(enqueue: Enqueue) -> None:
    [job_id] = enqueue()
    claimed()
    with transaction() as db:
        JobStore(db).act(job_id, Verb.CANCEL)
    let_leases_expire()
    rescue()

    assert job_row(job_id).status == "cancelled"
    assert [attempt.outcome for attempt in attempts(job_id)] == ["lost"]


def test_a_job_that_was_to_be_paused_is_when_its_worker_is_lost(enqueue: Enqueue) -> None:
    [job_id] = enqueue()
    claimed()
    execute("UPDATE jobs SET status = 'pausing'")
    let_leases_expire()
    rescue()

    assert job_row(job_id).status == "paused"


def test_a_rescue_is_told_in_the_events(enqueue: Enqueue) -> None:
    [job_id] = enqueue()
    claimed("gone")
    let_leases_expire()
    rescue()
    with transaction() as db:
        last = EventStore(db).last(job_id, 1)[0]

    reason = "attempt 1 lost its worker gone; try 2 of 3 follows in 2 s"
    assert last.data == {"status": "queued", "reason": reason}


def test_sweepers_at_once_rescue_each_job_once(enqueue: Enqueue, redis_url: str) -> None:
    ids = enqueue(20)
    for _ in ids:
        claimed()
    let_leases_expire()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: sweep(), range(8)))

    assert [len(attempts(job_id)) for job_id in ids] == [1] * 20
    assert {job_row(job_id).status for job_id in ids} == {"queued"}


def test_a_cancellation_and_a_claim_at_once_agree(enqueue: Enqueue) -> None:
    def cancel(job_id: str) -> str:
        together.wait()
        with transaction() as db:
            return JobStore(db).act(job_id, Verb.CANCEL).status

    def take(_: str) -> JobRow | None:
        together.wait()
        return claim()

    together = Barrier(2)
    with ThreadPoolExecutor(2) as threads:
        for _ in range(20):
            [job_id] = enqueue()
            cancelling = threads.submit(cancel, job_id)
            taking = threads.submit(take, job_id)
            expected = "cancelled" if taking.result() is None else "cancelling"
            assert cancelling.result() == expected == job_row(job_id).status


def test_the_database_itself_refuses_a_lease_without_an_owner(enqueue: Enqueue) -> None:
    enqueue()
    with pytest.raises(IntegrityError, match="leased_when_owned"):
        execute("UPDATE jobs SET status = 'running'")
    with pytest.raises(IntegrityError, match="ck_jobs_status"):
        execute("UPDATE jobs SET status = 'done'")
