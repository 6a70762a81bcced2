"""A job from its submission to its end, as someone watching it over HTTP sees it."""

from collections.abc import Sequence
from typing import Any

import pytest
from fastapi.testclient import TestClient

from shared.db.engine import transaction
from shared.db.tables import JobRow
from shared.jobs.states import JobStatus
from shared.queue import QUEUE, get_redis, num_messages
from tests.integration.api.client import error_of
from tests.integration.seeding import (
    claimed,
    count_rows,
    execute,
    fail,
    save,
    settle,
    spec,
    succeed,
    write_curve,
)


def submit(client: TestClient, **changes: Any) -> dict[str, Any]:
    response = client.post("/v1/jobs", json=spec(**changes))
    assert response.status_code == 201, response.text
    job: dict[str, Any] = response.json()
    return job


def show(client: TestClient, job_id: str) -> dict[str, Any]:
    job: dict[str, Any] = client.get(f"/v1/jobs/{job_id}").json()
    return job


def statuses(client: TestClient, job_id: str) -> list[str]:
    events = client.get(f"/v1/jobs/{job_id}/events").json()["data"]
    return [event["data"]["status"] for event in events if event["type"] == "status"]


def test_a_new_job_waits_with_everything_resolved(client: TestClient) -> None:
    job = submit(client, name="first", metadata={"team": "nlp"}, training={"seed": 7})

    assert (job["status"], job["queue_position"], job["seed"]) == ("queued", 1, 7)
    assert job["spec"]["mapping"] == "many_to_one"
    assert job["spec"]["training"]["loss"] == "cross_entropy"
    assert job["spec"]["network"]["cell"] == {
        "type": "lstm",
        "peephole": False,
        "coupled_gates": False,
        "forget_bias": 1.0,
    }
    assert job["spec"]["model_name"] == "first"
    assert job["spec"]["metadata"] == {"team": "nlp"}
    assert job["progress"]["total_steps"] == 450
    assert job["attempts"] == []
    assert job["dataset_id"] == client.get("/v1/datasets/digits").json()["id"]
    assert show(client, job["id"]) == job


def test_a_message_is_sent_only_once_the_job_can_be_found(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str | None] = []

    def observed(job_ids: Sequence[str]) -> None:
        with transaction() as db:  # another connection: it sees what was committed alone
            row = db.get(JobRow, job_ids[0])
            found.append(row.status if row else None)

    monkeypatch.setattr("services.api.submit.wake_workers", observed)
    submit(client)

    assert found == ["queued"]


def test_a_job_sends_one_message_that_holds_its_id(client: TestClient) -> None:
    job = submit(client)
    message = get_redis().lindex(QUEUE, 0)

    assert num_messages() == 1
    assert isinstance(message, bytes)
    assert job["id"].encode() in message
    with transaction() as db:
        row = db.get_one(JobRow, job["id"])
        assert (row.num_dispatches, row.dispatched_at is not None) == (1, True)


def test_a_refused_job_sends_no_message(client: TestClient) -> None:
    error_of(client.post("/v1/jobs", json=spec(priority=11)), 422)

    assert num_messages() == 0


def test_a_dry_run_tells_the_cost_and_leaves_nothing(client: TestClient) -> None:
    before = count_rows()
    answer = client.post("/v1/jobs?dry_run=true", json=spec(training={"epochs": 2}))

    assert answer.status_code == 200
    body = answer.json()
    assert body["steps"] == 90
    assert body["spec"]["training"]["loss"] == "cross_entropy"
    assert body["num_parameters"] == submit(client)["num_parameters"]
    assert body["estimated_memory_bytes"] > 4 * body["num_parameters"]
    assert body["estimated_duration_s"] > 0
    assert body["duration_basis"] == "nominal speed"
    execute("DELETE FROM jobs")
    assert count_rows() == before
    assert num_messages() == 1  # of the job that was submitted for comparison


def test_a_dry_run_takes_its_speed_from_jobs_that_finished(client: TestClient) -> None:
    submit(client)
    succeed(claimed())
    execute("UPDATE jobs SET started_at = finished_at - interval '100 seconds'")

    body = client.post("/v1/jobs?dry_run=true", json=spec()).json()
    assert body["duration_basis"] == "newest finished jobs"
    assert body["estimated_duration_s"] == pytest.approx(100)


def test_what_a_job_was_resolved_to_can_be_submitted_again(client: TestClient) -> None:
    for dataset in ("digits", "copy-5", "adding-10"):
        first = submit(client, dataset=dataset)
        again = client.post("/v1/jobs", json=first["spec"])

        assert again.status_code == 201
        assert again.json()["spec"] == first["spec"]


def test_a_waiting_job_is_cancelled_at_once(client: TestClient) -> None:
    job = submit(client)
    cancelled = client.post(f"/v1/jobs/{job['id']}/cancel")

    assert cancelled.status_code == 200
    assert cancelled.json()["status"] == "cancelled"
    assert cancelled.json()["finished_at"] is not None
    assert cancelled.json()["queue_position"] is None
    assert statuses(client, job["id"]) == ["queued", "cancelled"]


def test_a_running_job_is_asked_to_stop_and_asking_again_changes_nothing(
    client: TestClient,
) -> None:
    job = submit(client)
    attempt = claimed()
    first = client.post(f"/v1/jobs/{job['id']}/cancel")
    again = client.post(f"/v1/jobs/{job['id']}/cancel")

    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert first.json()["status"] == "cancelling"
    assert first.json()["finished_at"] is None
    checkpoint = save(attempt)
    settle(attempt, JobStatus.CANCELLED, "cancelled")
    ended = show(client, job["id"])
    assert (ended["status"], ended["attempts"][0]["outcome"]) == ("cancelled", "cancelled")
    assert statuses(client, job["id"]) == ["queued", "running", "cancelling", "cancelled"]
    kept = client.get(f"/v1/jobs/{job['id']}/checkpoints").json()
    assert [row["id"] for row in kept["data"]] == [checkpoint.id]


@pytest.mark.parametrize("end", ["cancelled", "failed", "succeeded"])
def test_a_job_that_has_ended_cannot_be_cancelled(client: TestClient, end: str) -> None:
    job = submit(client)
    END[end](client, job["id"])
    error = error_of(client.post(f"/v1/jobs/{job['id']}/cancel"), 409)

    assert error["code"] == "illegal_transition"
    assert f"is {end}" in error["message"]
    assert show(client, job["id"])["status"] == end


END: dict[str, Any] = {
    "cancelled": lambda client, job_id: client.post(f"/v1/jobs/{job_id}/cancel"),
    "failed": lambda client, job_id: fail(claimed()),
    "succeeded": lambda client, job_id: succeed(claimed()),
}


def test_a_running_job_tells_its_attempt(client: TestClient) -> None:
    job = submit(client)
    claimed("worker-7")
    running = show(client, job["id"])

    assert running["status"] == "running"
    assert running["status_reason"] == "attempt 1 on worker-7"
    assert running["started_at"] is not None
    assert running["queue_position"] is None
    [attempt] = running["attempts"]
    assert set(attempt) == {
        *("number", "worker", "device", "started_at", "ended_at", "outcome", "resumed_from_step"),
    }
    assert (attempt["number"], attempt["worker"], attempt["device"]) == (1, "worker-7", "cpu")
    assert (attempt["ended_at"], attempt["outcome"]) == (None, None)


def test_a_failed_job_tells_why(client: TestClient) -> None:
    job = submit(client)
    fail(claimed(), "The loss was no longer finite at step 3.")

    assert show(client, job["id"])["error"] == {
        "code": "loss_not_finite",
        "class": "user",
        "message": "The loss was no longer finite at step 3.",
    }


def test_a_succeeded_job_names_what_it_published(client: TestClient) -> None:
    job = submit(client, name="my net")
    succeed(claimed())
    done = show(client, job["id"])

    assert done["model"] == {"name": "my-net", "version": 1}
    assert done["weights_sha256"] == "00" * 32
    assert done["attempts"][0]["outcome"] == "succeeded"


@pytest.mark.parametrize("status", ["queued", "running", "cancelling"])
def test_a_job_that_has_not_ended_is_not_deleted(client: TestClient, status: str) -> None:
    job = submit(client)
    if status != "queued":
        claimed()
    if status == "cancelling":
        client.post(f"/v1/jobs/{job['id']}/cancel")
    before = count_rows()

    error = error_of(client.delete(f"/v1/jobs/{job['id']}"), 409)
    assert status in error["message"]
    assert count_rows() == before


def test_a_deleted_job_takes_its_curves_and_checkpoints_with_it(client: TestClient) -> None:
    before = count_rows()
    job = submit(client)
    attempt = claimed()
    write_curve(attempt, [3.0, 2.0, 1.0])
    save(attempt, b"x" * 1000)
    fail(attempt)
    response = client.delete(f"/v1/jobs/{job['id']}")

    assert (response.status_code, response.content) == (204, b"")
    assert count_rows() == before
    error_of(client.get(f"/v1/jobs/{job['id']}"), 404)
    error_of(client.delete(f"/v1/jobs/{job['id']}"), 404)


def test_what_a_deleted_job_published_stays(client: TestClient) -> None:
    job = submit(client, name="net")
    succeed(claimed(), b"weights" * 100)
    client.delete(f"/v1/jobs/{job['id']}")
    rows = count_rows()

    [version] = client.get("/v1/models/net").json()["versions"]
    assert (version["version"], version["job_id"], version["checkpoint_id"]) == (1, None, None)
    assert (rows["jobs"], rows["checkpoints"], rows["model_versions"]) == (0, 0, 1)
    assert rows["blobs"] == 3 + 1
