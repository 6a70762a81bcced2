"""Messages that are lost: what is sent again, when, and what is not."""

from sqlalchemy import text

from shared.db.engine import transaction
from shared.db.leases import LeaseStore
from shared.db.workers import WorkerStore
from shared.queue import get_redis, num_messages, wake_workers
from shared.sweeper import Sweeper, sweep
from tests.integration.db.conftest import Enqueue
from tests.integration.seeding import claimed, execute, job_row
from tests.servers import wait_for


def unsent(num_messages: int) -> list[str]:
    with transaction() as db:
        return list(LeaseStore(db).unsent(num_messages))


def let_pass(seconds: int) -> None:
    """As if all that happened to jobs had happened so many seconds earlier."""
    execute(
        "UPDATE jobs SET queued_at = queued_at - make_interval(secs => :s),"
        " dispatched_at = dispatched_at - make_interval(secs => :s)",
        s=seconds,
    )


def test_a_message_that_was_never_sent_is_sent_a_moment_later(enqueue: Enqueue) -> None:
    [job_id] = enqueue()

    with transaction() as db:
        db.execute(text("UPDATE jobs SET queued_at = now()"))
        assert list(LeaseStore(db).unsent(0)) == []  # its submitter may be about to send it
    let_pass(2)
    assert unsent(0) == [job_id]
    assert unsent(1) == [job_id]


def test_a_job_whose_message_waits_is_not_sent_again(enqueue: Enqueue) -> None:
    wake_workers(enqueue(3))
    let_pass(3600)

    assert unsent(num_messages()) == []


def test_all_waiting_jobs_are_sent_again_after_the_broker_forgot_everything(
    enqueue: Enqueue,
) -> None:
    ids = enqueue(20)
    wake_workers(ids)
    claimed()
    get_redis().flushdb()
    sweep()
    assert num_messages() == 0  # they may have been taken by workers that are about to claim

    let_pass(6)
    sweep()
    assert num_messages() == 19
    assert job_row(ids[1]).num_dispatches == 2
    sweep()
    assert num_messages() == 19


def unsent_after(seconds: int) -> list[str]:
    """What is sent again so long after it was sent, and not a moment later."""
    sent = text("UPDATE jobs SET dispatched_at = now() - make_interval(secs => :s)")
    with transaction() as db:
        db.execute(sent, {"s": seconds + 0.001})
        return list(LeaseStore(db).unsent(0))


def test_a_message_is_repeated_less_and_less_often(enqueue: Enqueue) -> None:
    [job_id] = enqueue()
    patience = []
    for sends in range(1, 7):
        execute("UPDATE jobs SET num_dispatches = :n", n=sends)
        waited = 0
        while not unsent_after(waited):
            waited += 1
        patience.append(waited)

    assert patience == [5, 10, 20, 40, 60, 60]
    assert unsent(0) == [job_id]


def test_a_job_that_waits_out_a_lost_worker_is_sent_when_its_time_has_come(
    enqueue: Enqueue,
) -> None:
    [job_id] = enqueue()
    wake_workers([job_id])
    claimed()
    get_redis().flushdb()
    execute("UPDATE jobs SET lease_until = now() - interval '1 second'")
    sweep()
    let_pass(10)
    execute("UPDATE jobs SET not_before = not_before + interval '1 hour'")
    assert unsent(0) == []

    execute("UPDATE jobs SET not_before = now()")
    assert unsent(0) == [job_id]


def test_urgent_jobs_are_sent_first(enqueue: Enqueue) -> None:
    low, high = enqueue(2, priority=1), enqueue(2, priority=9)
    let_pass(2)

    assert unsent(0) == high + low


def test_the_sweep_of_another_process_is_enough(enqueue: Enqueue) -> None:
    enqueue(3)
    let_pass(2)
    with transaction() as db:
        assert LeaseStore(db).try_sweep_lock()
        sweep()
        assert num_messages() == 0

    sweep()
    assert num_messages() == 3


def test_a_collection_forgets_workers_that_fell_silent_long_ago(seeded: None) -> None:
    with transaction() as db:
        for name in ("silent", "there"):
            WorkerStore(db).beat(name, "cpu", None)
    execute("UPDATE workers SET heartbeat_at = now() - interval '2 days' WHERE name = 'silent'")
    sweep(collect=True)

    with transaction() as db:
        assert [row.name for row in WorkerStore(db).all()] == ["there"]


def test_the_sweeper_of_a_service_sweeps_until_it_is_stopped(enqueue: Enqueue) -> None:
    enqueue(2)
    let_pass(2)
    sweeper = Sweeper(0.02)
    sweeper.start()
    try:
        assert wait_for(lambda: num_messages() == 2)
    finally:
        sweeper.stop()
        sweeper.join(30)
    assert not sweeper.is_alive()
