"""Pages and filters of the list of jobs, over 45 of them."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.embedded.servers import Servers
from shared.db.ids import new_id
from shared.jobs.states import JobStatus
from tests.integration.api.client import api_client, error_of
from tests.integration.seeding import claimed, seeded_servers, settle, spec, succeed

NUM_JOBS = 45


@pytest.fixture(scope="module")
def client(seeded_template: Servers) -> Iterator[TestClient]:
    """45 jobs: cells, datasets and metadata in turn; two have ended."""
    with seeded_servers(seeded_template), api_client() as client:
        for number in range(NUM_JOBS):
            submit_one(client, number)
        settle(claimed(), JobStatus.FAILED, "failed")
        succeed(claimed())
        yield client


def submit_one(client: TestClient, number: int) -> None:
    wanted = spec(
        dataset=("digits", "copy-5", "adding-10")[number % 3],
        cell=("lstm", "gru", "elman")[number % 3],
        name=f"job {number} 100%_done" if number == 7 else f"Job {number:02}",
        metadata={"team": "nlp" if number % 2 else "vision", "number": number},
    )
    response = client.post("/v1/jobs", json=wanted)
    assert response.status_code == 201, response.text


def listed(client: TestClient, **query: Any) -> dict[str, Any]:
    response = client.get("/v1/jobs", params=query)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def names(client: TestClient, **query: Any) -> list[str]:
    return [job["name"] for job in listed(client, limit=100, **query)["data"]]


def test_pages_of_a_list_hold_every_job_once_newest_first(client: TestClient) -> None:
    pages = [listed(client, limit=20)]
    while pages[-1]["has_more"]:
        pages.append(listed(client, limit=20, after=pages[-1]["last_id"]))

    assert [len(page["data"]) for page in pages] == [20, 20, 5]
    ids = [job["id"] for page in pages for job in page["data"]]
    assert len(set(ids)) == NUM_JOBS
    assert ids == sorted(ids, reverse=True)
    times = [job["created_at"] for page in pages for job in page["data"]]
    assert times == sorted(times, reverse=True)


def test_a_page_names_its_first_and_last_id(client: TestClient) -> None:
    page = listed(client)

    assert set(page) == {"object", "data", "first_id", "last_id", "has_more"}
    assert page["object"] == "list"
    assert len(page["data"]) == 20
    assert page["first_id"] == page["data"][0]["id"]
    assert page["last_id"] == page["data"][-1]["id"]
    assert page["has_more"] is True


def test_a_page_that_ends_exactly_at_the_end_has_no_more(client: TestClient) -> None:
    assert listed(client, limit=15, after=listed(client, limit=30)["last_id"])["has_more"] is False


def test_behind_the_last_job_there_is_an_empty_page(client: TestClient) -> None:
    last_id = listed(client, limit=100)["last_id"]

    page = listed(client, after=last_id)
    assert page == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


def test_a_job_that_was_deleted_still_marks_its_place(client: TestClient) -> None:
    never_there = new_id("job")

    assert listed(client, limit=1, after=never_there)["data"] == listed(client, limit=1)["data"]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": -1}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": 10**30}, "limit"),
        ({"after": "ds_01k8m3aaaaaaaaaaaaaaaaaaaa"}, "after"),
        ({"after": "job_"}, "after"),
        ({"after": "job_UPPERCASEUPPERCASEUPPERCASE"}, "after"),
        ({"after": "x" * 5000}, "after"),
        ({"after": ""}, "after"),
        ({"status": "done"}, "status.0"),
        ({"name_contains": "x" * 300}, "name_contains"),
        ({"dataset": "x" * 300}, "dataset"),
        ({"cell": "x" * 300}, "cell"),
    ],
)
def test_a_faulty_query_is_refused_with_its_parameter(
    client: TestClient, query: dict[str, Any], param: str
) -> None:
    error = error_of(client.get("/v1/jobs", params=query), 422)

    assert error["param"] == param
    assert len(error["message"]) < 500


@pytest.mark.parametrize(
    "query",
    [
        "dataset=a%00b",
        "cell=%00",
        "name_contains=%00",
        "metadata[a]=%00",
        "metadata[%00]=a",
        "metadata[a%00]=%00",
    ],
)
def test_a_nul_in_a_query_is_refused(client: TestClient, query: str) -> None:
    assert error_of(client.get(f"/v1/jobs?{query}"), 400)["code"] == "malformed"


@pytest.mark.parametrize("path", ["/v1/datasets", "/v1/models"])
def test_other_lists_refuse_ids_of_jobs(client: TestClient, path: str) -> None:
    response = client.get(path, params={"after": new_id("job")})

    assert response.status_code in (404, 422)
    assert response.json()["error"]["param"] == "after"


def test_a_status_may_be_repeated(client: TestClient) -> None:
    ended = client.get("/v1/jobs?status=failed&status=succeeded").json()["data"]

    assert {job["status"] for job in ended} == {"failed", "succeeded"}
    assert len(ended) == 2
    assert len(names(client, status="queued")) == NUM_JOBS - 2


def test_jobs_are_found_by_the_name_and_the_id_of_their_dataset(client: TestClient) -> None:
    dataset_id = client.get("/v1/datasets/copy-5").json()["id"]

    assert len(names(client, dataset="copy-5")) == 15
    assert names(client, dataset="copy-5") == names(client, dataset=dataset_id)
    assert names(client, dataset="nowhere") == []


def test_jobs_are_found_by_their_cell(client: TestClient) -> None:
    assert {
        job["spec"]["network"]["cell"]["type"] for job in listed(client, cell="gru")["data"]
    } == {"gru"}
    assert len(names(client, cell="gru")) == 15
    assert names(client, cell="gr") == []


def test_jobs_are_found_by_a_part_of_their_name_in_either_case(client: TestClient) -> None:
    assert names(client, name_contains="job 1") == [f"Job {n}" for n in range(19, 9, -1)]


@pytest.mark.parametrize(
    ("part", "found"),
    [("%", 1), ("_", 1), ("100%_", 1), ("%done", 0), ("_o", 0), ("/", 0), ("\\", 0), ("J%b", 0)],
)
def test_wildcards_in_a_name_are_plain_text(client: TestClient, part: str, found: int) -> None:
    assert len(names(client, name_contains=part)) == found


def test_jobs_are_found_by_their_metadata(client: TestClient) -> None:
    assert len(names(client, **{"metadata[team]": "nlp"})) == 22
    assert names(client, **{"metadata[team]": "nlp", "metadata[number]": "3"}) == ["Job 03"]
    assert names(client, **{"metadata[team]": "NLP"}) == []
    assert names(client, **{"metadata[nothing]": "nlp"}) == []


def test_filters_narrow_together_and_keep_their_pages(client: TestClient) -> None:
    query = {"cell": "lstm", "metadata[team]": "nlp", "limit": 4}
    first = listed(client, **query)
    second = listed(client, **query, after=first["last_id"])

    assert (len(first["data"]), first["has_more"]) == (4, True)
    assert (len(second["data"]), second["has_more"]) == (3, False)
    assert {job["spec"]["metadata"]["team"] for job in first["data"] + second["data"]} == {"nlp"}


def test_a_job_has_every_field_of_the_contract(client: TestClient) -> None:
    job = listed(client, limit=1)["data"][0]

    assert set(job) >= {
        *("id", "object", "name", "status", "status_reason", "spec", "seed", "dataset_id"),
        *("created_at", "queued_at", "started_at", "finished_at", "queue_position", "starts_in_s"),
        "progress",
        *("best", "latest", "attempts", "error", "model", "weights_sha256", "kernel", "urls"),
    }
    assert set(job["progress"]) == {
        *("step", "total_steps", "epoch", "epochs", "fraction", "steps_per_s", "eta_s"),
    }
    assert set(job["urls"]) == {"self", "events", "metrics", "checkpoints", "dashboard"}
    assert job["created_at"].endswith("Z")
    assert job == client.get(job["urls"]["self"]).json()
