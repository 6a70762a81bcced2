"""The story of a job as a list and as a stream that has ended."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from shared.db.engine import transaction
from shared.db.events import EventStore
from shared.db.ids import event_id, event_number
from shared.db.leases import LeaseStore
from shared.db.tables import JobRow
from tests.integration.api.client import error_of
from tests.integration.seeding import claimed, save, spec, succeed


def tell(job: JobRow, type_: str, **data: Any) -> None:
    with transaction() as db:
        LeaseStore(db).owned(job.id, job.attempt)
        EventStore(db).add(job.id, type_, data)


@pytest.fixture
def client(shared_client: TestClient) -> TestClient:
    return shared_client


@pytest.fixture(scope="module")
def job(shared_client: TestClient) -> JobRow:
    """Queued, running, a checkpoint, two metrics, a line of log, succeeded; and another job's."""
    shared_client.post("/v1/jobs", json=spec())
    shared_client.post("/v1/jobs", json=spec(priority=0))
    job = claimed()
    save(job, step=5)
    tell(job, "metric", step=5, values={"train/loss": 1.0})
    tell(job, "metric", step=6, values={"train/loss": None})
    tell(job, "log", level="info", message="two\nlines \u2028 and ünïcode")
    succeed(job)
    return job


TYPES = ["status", "status", "checkpoint", "metric", "metric", "log", "checkpoint", "status"]


def events(client: TestClient, job: JobRow, **query: Any) -> dict[str, Any]:
    response = client.get(f"/v1/jobs/{job.id}/events", params=query)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def test_events_tell_the_story_in_its_order(client: TestClient, job: JobRow) -> None:
    body = events(client, job)

    assert [event["type"] for event in body["data"]] == TYPES
    ids = [event["id"] for event in body["data"]]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(TYPES)
    assert (body["first_id"], body["last_id"], body["has_more"]) == (ids[0], ids[-1], False)
    assert body["data"][0]["data"] == {"status": "queued"}
    assert body["data"][-1]["data"]["status"] == "succeeded"
    assert all(event["created_at"].endswith("Z") for event in body["data"])


def test_events_go_on_after_the_last_one_seen(client: TestClient, job: JobRow) -> None:
    whole = events(client, job)["data"]
    first = events(client, job, limit=3)
    rest = events(client, job, after=first["last_id"])

    assert first["has_more"] is True
    assert first["data"] + rest["data"] == whole
    assert events(client, job, after=whole[-1]["id"])["data"] == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"after": "job_1"}, "after"),
        ({"after": "evt_" + "z" * 26}, "after"),
        ({"after": "5"}, "after"),
        ({"after": "x" * 9000}, "after"),
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
    ],
)
def test_a_faulty_question_is_refused(
    client: TestClient, job: JobRow, query: dict[str, Any], param: str
) -> None:
    assert error_of(client.get(f"/v1/jobs/{job.id}/events", params=query), 422)["param"] == param


def frames(text: str) -> Iterator[dict[str, str]]:
    """The events of a stream, as a browser takes them apart."""
    for block in text.split("\n\n"):
        lines = [line.partition(": ") for line in block.split("\n") if line and line[0] != ":"]
        if lines:
            yield {name: value for name, _, value in lines}


def test_the_stream_of_an_ended_job_is_its_whole_story(client: TestClient, job: JobRow) -> None:
    response = client.get(f"/v1/jobs/{job.id}/events/stream")

    assert response.headers["content-type"].startswith("text/event-stream")
    found = list(frames(response.text))
    listed = events(client, job)["data"]
    assert [frame["event"] for frame in found] == TYPES
    assert [frame["id"] for frame in found] == [event["id"] for event in listed]
    assert "ünïcode" in response.text or "\\u00fc" in response.text


@pytest.mark.parametrize("seen", [0, 3, 7, 8])
def test_a_stream_goes_on_after_the_last_event_id(
    client: TestClient, job: JobRow, seen: int
) -> None:
    listed = events(client, job)["data"]
    headers = {"Last-Event-ID": listed[seen - 1]["id"]} if seen else {}
    response = client.get(f"/v1/jobs/{job.id}/events/stream", headers=headers)

    assert [f["id"] for f in frames(response.text)] == [event["id"] for event in listed[seen:]]


def test_a_last_event_id_of_nobody_begins_at_the_beginning(client: TestClient, job: JobRow) -> None:
    headers = {"Last-Event-ID": "nonsense"}
    response = client.get(f"/v1/jobs/{job.id}/events/stream", headers=headers)

    assert [frame["event"] for frame in frames(response.text)] == TYPES


@pytest.mark.parametrize("number", [0, 1, 31, 32, 10**12, 2**63 - 1])
def test_the_number_of_an_event_survives_its_id(number: int) -> None:
    assert event_number(event_id(number)) == number


def test_ids_of_later_events_sort_later() -> None:
    ids = [event_id(number) for number in range(0, 10_000, 37)]

    assert ids == sorted(ids)
