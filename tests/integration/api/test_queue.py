"""Who is next, how long the queue is, and which workers are there."""

from typing import Any

from fastapi.testclient import TestClient

from shared.db.engine import transaction
from shared.db.workers import WorkerStore
from tests.integration.seeding import claimed, execute, spec


def submit(client: TestClient, priority: int) -> str:
    job_id: str = client.post("/v1/jobs", json=spec(priority=priority)).json()["id"]
    return job_id


def positions(client: TestClient, ids: list[str]) -> list[int | None]:
    return [client.get(f"/v1/jobs/{job_id}").json()["queue_position"] for job_id in ids]


def test_jobs_wait_by_priority_and_then_by_age(client: TestClient) -> None:
    ids = [submit(client, priority) for priority in (5, 0, 9, 5, 9)]

    assert positions(client, ids) == [3, 5, 1, 4, 2]


def test_jobs_are_taken_in_the_order_of_their_positions(client: TestClient) -> None:
    ids = [submit(client, priority) for priority in (5, 0, 9, 5, 9)]
    expected = [job_id for _, job_id in sorted(zip(positions(client, ids), ids, strict=True))]

    taken: list[str] = []
    for _ in ids:
        assert positions(client, ids)[ids.index(expected[len(taken)])] == 1
        taken.append(claimed().id)
    assert taken == expected
    assert positions(client, ids) == [None] * 5


def test_the_queue_tells_its_depth_by_priority_and_the_age_of_the_oldest(
    client: TestClient,
) -> None:
    for priority in (5, 9, 5):
        submit(client, priority)
    execute("UPDATE jobs SET queued_at = queued_at - interval '1 hour' WHERE priority = 9")
    queue = client.get("/v1/queue").json()

    assert (queue["object"], queue["depth"]) == ("queue", 3)
    assert queue["by_priority"] == {"9": 1, "5": 2}
    assert 3600 <= queue["oldest_age_s"] < 3700


def test_an_empty_queue_has_no_oldest(client: TestClient) -> None:
    submit(client, 5)
    claimed()

    assert client.get("/v1/queue").json() == {
        "object": "queue",
        "depth": 0,
        "by_priority": {},
        "oldest_age_s": None,
    }


def test_workers_tell_their_device_and_what_they_do(client: TestClient) -> None:
    job_id = submit(client, 5)
    with transaction() as db:
        store = WorkerStore(db)
        store.beat("busy", "cuda", job_id)
        store.beat("idle", "cpu", None)
        store.beat("silent", "cpu", job_id)
        store.beat("gone", "cpu", None)
        store.leave("gone")
    execute("UPDATE workers SET heartbeat_at = now() - interval '5 minutes' WHERE name = 'silent'")
    body: dict[str, Any] = client.get("/v1/workers").json()

    assert [(w["name"], w["device"], w["status"], w["job_id"]) for w in body["data"]] == [
        ("busy", "cuda", "busy", job_id),
        ("idle", "cpu", "idle", None),
        ("silent", "cpu", "lost", job_id),
    ]
    assert body["object"] == "list"
    assert all(w["last_heartbeat_at"].endswith("Z") for w in body["data"])
