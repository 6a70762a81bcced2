"""Datasets from upload to deletion, also while jobs are about to need them."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from shared.db.datasets import DatasetStore
from shared.db.engine import transaction
from tests.integration.api.client import error_of
from tests.integration.seeding import DATASETS, claimed, count_rows, execute, fail, spec
from tests.servers import wait_for

LABELLED = [{"input": [i, i + 0.5], "target": "ab"[i % 2]} for i in range(20)]
CSV = "year,count\n" + "\n".join(f"{1900 + i},{i % 7}" for i in range(60))


def lines(records: list[dict[str, Any]]) -> bytes:
    return "\n".join(map(json.dumps, records)).encode()


def upload(client: TestClient, content: bytes, filename: str = "a.jsonl", **form: str) -> Any:
    response = client.post(
        "/v1/datasets", files={"file": (filename, content)}, data={"name": "mine", **form}
    )
    assert response.status_code == 201, response.text
    return response.json()


def test_an_upload_comes_back_as_it_was_understood(client: TestClient) -> None:
    dataset = upload(client, lines(LABELLED), name=" My data 1.0 ")

    assert set(dataset) >= {
        *("id", "object", "name", "source", "format", "bytes", "sha256", "splits", "schema"),
        *("lengths", "mappings", "created_at"),
    }
    assert dataset["id"].startswith("ds_")
    assert (dataset["object"], dataset["source"], dataset["format"]) == (
        "dataset",
        "upload",
        "jsonl",
    )
    assert dataset["name"] == "My data 1.0"
    assert dataset["bytes"] == len(lines(LABELLED))
    assert dataset["splits"] == {"train": 16, "val": 2, "test": 2}
    assert dataset["schema"]["input"] == {"kind": "numeric", "size": 1, "binary": False}
    assert dataset["schema"]["target"]["labels"] == ["a", "b"]
    assert dataset["lengths"] == {"min": 2, "median": 2, "p95": 2, "max": 2}
    assert dataset["mappings"] == ["many_to_one"]
    assert dataset["about"]["class_balance"] == {"a": 10, "b": 10}


def test_a_dataset_says_what_is_in_it_and_what_should_worry(client: TestClient) -> None:
    twice = [{**LABELLED[0], "split": name} for name in ("train", "test")]
    sent = upload(client, lines([*twice, {**LABELLED[1], "split": "train"}]))
    found = client.get("/v1/datasets/mine").json()

    assert found["statistics"] == sent["statistics"]
    assert found["statistics"]["duplicates"]["across"]["train_test"] == 1
    assert found["statistics"]["lengths"] == {"edges": [2, 3], "counts": [3]}
    assert found["statistics"]["features"][0]["max"] == 1.5
    assert "1 item is in train and test" in found["warnings"]
    assert "no item is in val" in found["warnings"]


def test_a_dataset_is_found_by_its_id_and_its_name(client: TestClient) -> None:
    dataset = upload(client, lines(LABELLED), name="My data")

    assert client.get(f"/v1/datasets/{dataset['id']}").json() == dataset
    assert client.get("/v1/datasets/My%20data").json() == dataset


@pytest.mark.parametrize(
    ("filename", "form", "content", "found"),
    [
        ("a.jsonl", {}, lines(LABELLED), "jsonl"),
        ("a.txt", {}, b"to be or not to be " * 20, "text"),
        ("a.csv", {"options": '{"input_columns": ["count"], "window": 4}'}, CSV.encode(), "csv"),
        ("nameless", {}, lines(LABELLED), "jsonl"),
        ("a.csv", {"format": "text"}, CSV.encode(), "text"),
    ],
)
def test_a_format_is_told_by_the_name_the_content_or_the_sender(
    client: TestClient, filename: str, form: dict[str, str], content: bytes, found: str
) -> None:
    assert upload(client, content, filename, **form)["format"] == found


def test_a_preview_shows_records_in_the_form_they_came_in(client: TestClient) -> None:
    upload(client, lines([{**record, "split": "train"} for record in LABELLED]))
    preview = client.get("/v1/datasets/mine/preview?split=train&limit=3").json()

    assert preview["data"] == LABELLED[:3]
    assert client.get("/v1/datasets/mine/preview?split=test").json()["data"] == []


@pytest.mark.parametrize(
    ("query", "param"), [("split=dev", "split"), ("limit=0", "limit"), ("limit=101", "limit")]
)
def test_a_preview_of_nothing_known_is_refused(client: TestClient, query: str, param: str) -> None:
    assert error_of(client.get(f"/v1/datasets/digits/preview?{query}"), 422)["param"] == param


def test_datasets_are_listed_newest_first_page_by_page(client: TestClient) -> None:
    upload(client, lines(LABELLED))
    first = client.get("/v1/datasets?limit=3").json()
    second = client.get("/v1/datasets", params={"limit": 3, "after": first["last_id"]}).json()

    assert [row["name"] for row in first["data"] + second["data"]] == ["mine", *DATASETS[::-1]]
    assert (first["has_more"], second["has_more"]) == (True, False)


def test_a_built_in_that_nobody_used_is_there_when_asked_for(client: TestClient) -> None:
    assert client.get("/v1/datasets/copy-3").json()["source"] == "builtin"
    assert client.post("/v1/jobs", json=spec("copy-4")).status_code == 201
    assert count_rows()["datasets"] == len(DATASETS) + 2


def test_two_first_uses_of_a_built_in_at_once_make_one_dataset(client: TestClient) -> None:
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: client.get("/v1/datasets/copy-6"), range(4)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert count_rows()["datasets"] == count_rows()["blobs"] == len(DATASETS) + 1


def test_a_deleted_dataset_leaves_nothing(client: TestClient) -> None:
    before = count_rows()
    dataset = upload(client, lines(LABELLED))
    response = client.delete("/v1/datasets/mine")

    assert (response.status_code, response.content) == (204, b"")
    assert count_rows() == before
    error_of(client.get(f"/v1/datasets/{dataset['id']}"), 404)
    error_of(client.delete("/v1/datasets/mine"), 404)


def test_a_built_in_stays(client: TestClient) -> None:
    assert error_of(client.delete("/v1/datasets/digits"), 409)["code"] == "dataset_in_use"


def test_a_dataset_stays_while_a_job_needs_it_and_the_job_survives_it(client: TestClient) -> None:
    upload(client, lines(LABELLED))
    job = client.post("/v1/jobs", json=spec("mine")).json()

    error = error_of(client.delete("/v1/datasets/mine"), 409)
    assert job["id"] in error["message"]
    attempt = claimed()
    error_of(client.delete("/v1/datasets/mine"), 409)
    fail(attempt)
    assert client.delete("/v1/datasets/mine").status_code == 204

    after = client.get(f"/v1/jobs/{job['id']}").json()
    assert (after["status"], after["dataset_id"]) == ("failed", None)
    assert after["spec"]["dataset"] == "mine"


def test_a_dataset_is_not_deleted_under_a_job_that_is_just_submitted(client: TestClient) -> None:
    upload(client, lines(LABELLED))
    held, go_on = Event(), Event()

    def submit() -> None:
        with transaction() as db:
            store = DatasetStore(db)
            store.hold(store.get("mine"))
            held.set()
            go_on.wait(30)
            assert client.post("/v1/jobs", json=spec("mine")).status_code == 201

    with ThreadPoolExecutor(2) as threads:
        submitting = threads.submit(submit)
        assert held.wait(30)
        deleting = threads.submit(client.delete, "/v1/datasets/mine")
        assert wait_for(is_someone_waiting)
        go_on.set()
        submitting.result()

    error_of(deleting.result(), 409)


def is_someone_waiting() -> bool:
    """Whether a statement of this database waits for a lock."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with transaction() as db:
        return bool(db.scalars(query).one())


def test_a_job_is_not_queued_for_a_dataset_that_is_just_deleted(client: TestClient) -> None:
    upload(client, lines(LABELLED))
    held, go_on = Event(), Event()

    def delete() -> None:
        with transaction() as db:
            DatasetStore(db).delete("mine")
            held.set()
            go_on.wait(30)

    with ThreadPoolExecutor(2) as threads:
        deleting = threads.submit(delete)
        assert held.wait(30)
        submitting = threads.submit(client.post, "/v1/jobs", json=spec("mine"))
        assert wait_for(is_someone_waiting)
        go_on.set()
        deleting.result()

    assert error_of(submitting.result(), 404)["param"] == "dataset"
    assert count_rows()["jobs"] == 0


def test_a_damaged_dataset_is_unavailable_and_others_are_not(client: TestClient) -> None:
    dataset = upload(client, lines(LABELLED))
    execute(
        "UPDATE blob_chunks SET data = set_byte(data, 100, get_byte(data, 100) # 1) "
        "WHERE blob_id = (SELECT blob_id FROM datasets WHERE id = :id)",
        id=dataset["id"],
    )

    error = error_of(client.get("/v1/datasets/mine/preview"), 503)
    assert error["code"] == "corrupt_blob"
    assert client.get("/v1/datasets/digits/preview").status_code == 200
