"""Pause, resume, retry and changes of jobs over HTTP, with a worker played by the test."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from shared.jobs.states import JobStatus
from shared.queue import get_redis, num_messages
from tests.integration.api.client import error_of
from tests.integration.seeding import (
    claim,
    claimed,
    execute,
    fail,
    job_row,
    save,
    settings,
    settle,
    spec,
)


def submit(client: TestClient, **changes: Any) -> str:
    response = client.post("/v1/jobs", json=spec(**changes))
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def do(client: TestClient, job_id: str, verb: str) -> tuple[int, str]:
    response = client.post(f"/v1/jobs/{job_id}/{verb}")
    body = response.json()
    return response.status_code, body.get("status") or body["error"]["code"]


def show(client: TestClient, job_id: str) -> dict[str, Any]:
    job: dict[str, Any] = client.get(f"/v1/jobs/{job_id}").json()
    return job


def test_a_waiting_job_is_paused_at_once_and_waits_anew_when_resumed(client: TestClient) -> None:
    first, second = submit(client), submit(client)

    assert do(client, first, "pause") == (200, "paused")
    assert do(client, first, "pause") == (200, "paused")
    assert claimed().id == second
    assert claim() is None
    get_redis().flushdb()
    assert do(client, first, "resume") == (200, "queued")
    assert do(client, first, "resume") == (200, "queued")
    assert num_messages() == 1
    assert claimed().id == first
    assert do(client, first, "resume") == (409, "illegal_transition")


def test_a_running_job_is_paused_by_its_worker_and_keeps_its_attempts(client: TestClient) -> None:
    job_id = submit(client, max_attempts=1)
    attempt = claimed()

    assert do(client, job_id, "pause") == (200, "pausing")
    assert do(client, job_id, "pause") == (200, "pausing")
    assert do(client, job_id, "resume") == (409, "illegal_transition")
    save(attempt)
    settle(attempt, JobStatus.PAUSED, "paused")
    job = show(client, job_id)
    assert (job["status"], job["finished_at"], job["queue_position"]) == ("paused", None, None)
    assert do(client, job_id, "resume") == (200, "queued")
    assert claimed().attempt == 2


def test_a_pausing_job_can_still_be_cancelled(client: TestClient) -> None:
    job_id = submit(client)
    claimed()
    do(client, job_id, "pause")

    assert do(client, job_id, "cancel") == (200, "cancelling")
    assert do(client, job_id, "pause") == (409, "illegal_transition")


def test_a_failed_job_is_tried_again_with_all_its_attempts(client: TestClient) -> None:
    job_id = submit(client, max_attempts=1)
    fail(claimed())
    error_of(client.post(f"/v1/jobs/{job_id}/resume"), 409)
    get_redis().flushdb()

    assert do(client, job_id, "retry") == (200, "queued")
    assert do(client, job_id, "retry") == (200, "queued")
    job = show(client, job_id)
    assert (job["error"], job["finished_at"]) == (None, None)
    assert num_messages() == 1
    assert claimed().attempt == 2
    assert job_row(job_id).granted_after == 1


@pytest.mark.parametrize("verb", ["pause", "resume", "retry"])
def test_a_succeeded_job_is_left_alone(client: TestClient, verb: str) -> None:
    job_id = submit(client)
    settle(claimed(), JobStatus.SUCCEEDED, "succeeded")

    error = error_of(client.post(f"/v1/jobs/{job_id}/{verb}"), 409)
    assert "is succeeded; only a job that is" in error["message"]
    error_of(client.post(f"/v1/jobs/job_nothing/{verb}"), 404)


def test_a_job_whose_dataset_was_deleted_cannot_be_tried_again(client: TestClient) -> None:
    job_id = submit(client)
    do(client, job_id, "cancel")
    execute("UPDATE jobs SET dataset_id = NULL")

    error = error_of(client.post(f"/v1/jobs/{job_id}/retry"), 409)
    assert "dataset" in error["message"]
    assert show(client, job_id)["status"] == "cancelled"


def test_a_changed_priority_moves_a_waiting_job(client: TestClient) -> None:
    first, second = submit(client, metadata={"a": "1"}), submit(client)
    changes = {"priority": 9, "name": "urgent", "metadata": {"b": 2}}
    job = client.patch(f"/v1/jobs/{second}", json=changes).json()

    assert (job["priority"], job["name"], job["queue_position"]) == (9, "urgent", 1)
    assert job["spec"]["priority"] == 9
    assert job["spec"]["metadata"] == {"b": "2"}
    assert client.get("/v1/jobs?metadata[b]=2").json()["first_id"] == second
    assert show(client, first)["queue_position"] == 2
    assert show(client, first)["spec"]["metadata"] == {"a": "1"}
    assert claimed().id == second


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"priority": 10}, "priority"),
        ({"priority": None}, "priority"),
        ({"name": ""}, "name"),
        ({"metadata": {"a": []}}, "metadata.a"),
        ({"status": "paused"}, "status"),
        ({"training": {"epochs": 3}}, "training"),
    ],
)
def test_what_cannot_be_changed_is_refused_by_its_name(
    client: TestClient, changes: dict[str, Any], param: str
) -> None:
    job_id = submit(client)
    before = show(client, job_id)

    assert error_of(client.patch(f"/v1/jobs/{job_id}", json=changes), 422)["param"] == param
    assert show(client, job_id) == before
    error_of(client.patch("/v1/jobs/job_nothing", json={"priority": 1}), 404)


def test_over_the_cap_of_waiting_jobs_more_are_refused_for_now(client: TestClient) -> None:
    with settings(max_queued_jobs="2"):
        first = submit(client)
        submit(client)
        error = error_of(client.post("/v1/jobs", json=spec()), 429)
        do(client, first, "pause")
        submit(client)
        error_of(client.post(f"/v1/jobs/{first}/resume"), 429)

    assert error["code"] == "too_many_queued"
    assert do(client, first, "resume") == (200, "queued")


def test_over_the_cap_of_running_jobs_of_one_key_others_are_taken_first(
    client: TestClient,
) -> None:
    mine = [submit(client, priority=9) for _ in range(2)]
    other = submit(client, priority=0)
    execute("UPDATE jobs SET owner = 'other' WHERE id = :id", id=other)

    with settings(max_running_jobs="1"):
        taken = [claimed().id, claimed().id]
        assert claim() is None
    assert taken == [mine[0], other]
    assert claimed().id == mine[1]


def test_a_waiting_job_tells_when_it_starts(client: TestClient) -> None:
    first, second = submit(client), submit(client)
    assert show(client, first)["starts_in_s"] is None  # nobody knows how fast workers are

    settle(claimed(), JobStatus.SUCCEEDED, "succeeded")
    execute("UPDATE jobs SET started_at = finished_at - interval '100 s' WHERE id = :i", i=first)
    third = submit(client)
    assert show(client, second)["starts_in_s"] is None  # and no worker is there
    execute("INSERT INTO workers (name, device) VALUES ('w', 'cpu')")
    next_, last = show(client, second), show(client, third)

    assert (next_["starts_in_s"], next_["progress"]["eta_s"]) == (0, pytest.approx(100))
    assert (last["starts_in_s"], last["progress"]["eta_s"]) == (
        pytest.approx(100),
        pytest.approx(200),
    )
    execute("UPDATE jobs SET not_before = now() + interval '300 s' WHERE id = :i", i=second)
    assert show(client, third)["queue_position"] == 1
    assert show(client, second)["queue_position"] == 2
    assert show(client, second)["starts_in_s"] == pytest.approx(300, abs=10)

    assert claimed().id == third
    fourth = submit(client)
    assert show(client, fourth)["starts_in_s"] is not None
    with settings(max_running_jobs="1"):  # its owner runs as many as may run
        assert show(client, fourth)["starts_in_s"] is None
