"""Events as they happen, over a real socket."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from services.embedded.servers import Servers
from shared.db.engine import transaction
from shared.db.events import EventStore
from shared.db.leases import LeaseStore
from shared.db.tables import JobRow
from shared.jobs.states import JobStatus
from tests.integration.api.serving import served_api
from tests.integration.seeding import claimed, save, seeded_servers, settle, spec, succeed


@pytest.fixture(scope="module")
def http(seeded_template: Servers) -> Iterator[httpx.Client]:
    with (
        seeded_servers(seeded_template),
        served_api() as url,
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        yield client


@contextmanager
def stream(http: httpx.Client, job_id: str, **headers: str) -> Iterator[Iterator[Any]]:
    with http.stream("GET", f"/v1/jobs/{job_id}/events/stream", headers=headers) as response:
        assert response.status_code == 200
        yield frames(response)


def frames(response: httpx.Response) -> Iterator[dict[str, Any]]:
    frame: dict[str, Any] = {}
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if not line and frame:
            yield {**frame, "data": json.loads(frame["data"])}
            frame = {}
        elif line and name:
            frame[name] = value


def running_job(http: httpx.Client) -> JobRow:
    http.post("/v1/jobs", json=spec()).raise_for_status()
    return claimed()


def tell(job: JobRow, **data: Any) -> None:
    with transaction() as db:
        LeaseStore(db).owned(job.id, job.attempt)
        EventStore(db).add(job.id, "metric", data)


def test_each_event_arrives_while_the_job_runs_and_the_stream_ends_with_it(
    http: httpx.Client,
) -> None:
    job = running_job(http)
    with stream(http, job.id) as arriving:
        assert [next(arriving)["data"]["status"] for _ in range(2)] == ["queued", "running"]
        for step in range(3):
            tell(job, step=step)
            frame = next(arriving)
            assert (frame["event"], frame["data"]) == ("metric", {"step": step})
        succeed(job)
        assert next(arriving)["event"] == "checkpoint"
        last = next(arriving)
        assert (last["event"], last["data"]["status"]) == ("status", "succeeded")
        assert list(arriving) == []


def test_nothing_is_lost_or_repeated_when_a_stream_is_taken_up_again(http: httpx.Client) -> None:
    job = running_job(http)
    seen: list[str] = []
    headers: dict[str, str] = {}
    for step in range(3):
        tell(job, step=step)
        with stream(http, job.id, **headers) as arriving:
            for frame in arriving:
                seen.append(frame["id"])
                if frame["data"] == {"step": step}:
                    break
        headers = {"Last-Event-ID": seen[-1]}
    settle(job, JobStatus.FAILED, "failed")
    with stream(http, job.id, **headers) as arriving:
        seen += [frame["id"] for frame in arriving]

    listed = http.get(f"/v1/jobs/{job.id}/events").json()["data"]
    assert seen == [event["id"] for event in listed]


def test_several_clients_hear_the_same_and_a_slow_one_stops_none(http: httpx.Client) -> None:
    job = running_job(http)
    with stream(http, job.id) as one, stream(http, job.id) as two, stream(http, job.id):
        for step in range(50):
            tell(job, step=step)
        succeed(job)
        assert list(one) == list(two)


def test_a_cancellation_is_heard_at_once(http: httpx.Client) -> None:
    http.post("/v1/jobs", json=spec()).raise_for_status()
    job_id = http.get("/v1/jobs?limit=1").json()["first_id"]
    with stream(http, job_id) as arriving:
        assert next(arriving)["data"]["status"] == "queued"
        http.post(f"/v1/jobs/{job_id}/cancel").raise_for_status()
        assert [frame["data"]["status"] for frame in arriving] == ["cancelled"]


def test_the_stream_of_a_job_that_is_deleted_ends(http: httpx.Client) -> None:
    job = running_job(http)
    with stream(http, job.id) as arriving:
        next(arriving)
        settle(job, JobStatus.FAILED, "failed")
        http.delete(f"/v1/jobs/{job.id}").raise_for_status()
        statuses = [frame["data"]["status"] for frame in arriving]

    assert statuses in (["running"], ["running", "failed"])


def test_a_stream_of_no_job_is_404_in_the_usual_form(http: httpx.Client) -> None:
    response = http.get("/v1/jobs/job_nothing/events/stream")

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"


def test_a_stream_carries_the_usual_headers_and_is_not_cached(http: httpx.Client) -> None:
    job = running_job(http)
    with http.stream("GET", f"/v1/jobs/{job.id}/events/stream") as response:
        headers = response.headers

    assert headers["x-request-id"].startswith("req_")
    assert headers["cache-control"] == "no-cache"
    assert headers["content-type"].startswith("text/event-stream")
    settle(job, JobStatus.FAILED, "failed")


def test_a_client_that_leaves_in_the_middle_of_a_download_holds_nothing(
    http: httpx.Client,
) -> None:
    job = running_job(http)
    checkpoint = save(job, bytes(8 * 2**20))
    with http.stream("GET", f"/v1/checkpoints/{checkpoint.id}/download") as response:
        next(response.iter_raw())
    settle(job, JobStatus.FAILED, "failed")

    assert http.delete(f"/v1/jobs/{job.id}").status_code == 204
