"""The first answer again for the same key and body, also when two come at once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from fastapi.testclient import TestClient

from shared.sweeper import sweep
from tests.integration.api.client import error_of
from tests.integration.seeding import count_rows, execute, spec

FILE = b'{"input": "abab", "target": "x"}\n{"input": "baba", "target": "y"}\n' * 5


def submit(client: TestClient, key: str, **changes: Any) -> Any:
    return client.post("/v1/jobs", json=spec(**changes), headers={"Idempotency-Key": key})


def upload(client: TestClient, key: str | None, name: str = "mine", file: bytes = FILE) -> Any:
    return client.post(
        "/v1/datasets",
        files={"file": ("a.jsonl", file)},
        data={"name": name},
        headers={"Idempotency-Key": key} if key else {},
    )


def test_the_same_key_and_spec_give_the_first_answer_again(client: TestClient) -> None:
    first = submit(client, "a", name="one", metadata={"b": "2", "a": "1"})
    client.post(f"/v1/jobs/{first.json()['id']}/cancel")
    again = submit(client, "a", name="one", metadata={"b": "2", "a": "1"})

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert count_rows()["jobs"] == 1


def test_the_same_key_with_another_spec_is_a_conflict(client: TestClient) -> None:
    submit(client, "a", name="one")
    error = error_of(submit(client, "a", name="two"), 409)

    assert error["code"] == "idempotency_mismatch"
    assert error["param"] == "Idempotency-Key"
    assert count_rows()["jobs"] == 1


def test_other_keys_make_other_jobs(client: TestClient) -> None:
    ids = {submit(client, key).json()["id"] for key in "abc"}
    ids |= {client.post("/v1/jobs", json=spec()).json()["id"] for _ in range(2)}

    assert len(ids) == 5


def test_a_refused_request_does_not_use_its_key_up(client: TestClient) -> None:
    error_of(submit(client, "a", priority=11), 422)
    error_of(submit(client, "a", dataset="nothing"), 404)

    assert submit(client, "a").status_code == 201


def test_a_dry_run_neither_uses_a_key_up_nor_answers_for_a_job(client: TestClient) -> None:
    headers = {"Idempotency-Key": "a"}
    looked = client.post("/v1/jobs?dry_run=true", json=spec(), headers=headers)
    queued = client.post("/v1/jobs", json=spec(), headers=headers)
    again = client.post("/v1/jobs?dry_run=true", json=spec(), headers=headers)

    assert (looked.status_code, queued.status_code, again.status_code) == (200, 201, 200)
    assert again.json()["object"] == "dry_run"


def test_a_key_is_free_again_after_a_day(client: TestClient) -> None:
    first = submit(client, "a").json()
    execute("UPDATE idempotency_keys SET created_at = created_at - interval '25 hours'")
    sweep(collect=True)

    assert submit(client, "a").json()["id"] != first["id"]


def test_two_requests_at_once_with_one_key_make_one_job(client: TestClient) -> None:
    together = Barrier(2)

    def send(_: int) -> Any:
        together.wait()
        return submit(client, "a", name="one")

    with ThreadPoolExecutor(2) as threads:
        for _ in range(10):
            answers = list(threads.map(send, range(2)))
            assert [answer.status_code for answer in answers] == [201, 201]

    assert answers[0].json() == answers[1].json()
    assert count_rows()["jobs"] == 1


def test_two_different_specs_at_once_with_one_key_make_one_job(client: TestClient) -> None:
    together = Barrier(2)

    def send(name: str) -> int:
        together.wait()
        return int(submit(client, "a", name=name).status_code)

    with ThreadPoolExecutor(2) as threads:
        statuses = sorted(threads.map(send, ["one", "two"]))

    assert statuses == [201, 409]
    assert count_rows()["jobs"] == 1


def test_the_same_key_and_file_give_the_first_answer_again(client: TestClient) -> None:
    first, again = upload(client, "a"), upload(client, "a")

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()


@pytest.mark.parametrize(
    "changes", [{"name": "other"}, {"file": FILE * 2}, {"name": "other", "file": FILE * 2}]
)
def test_the_same_key_with_another_upload_is_a_conflict(
    client: TestClient, changes: dict[str, Any]
) -> None:
    upload(client, "a")
    before = count_rows()

    error_of(upload(client, "a", **changes), 409)
    assert count_rows() == before


@pytest.mark.parametrize("name", ["mine", "other"])
@pytest.mark.parametrize("key", ["b", None])
def test_a_repeated_upload_finds_the_first_dataset_whatever_its_name(
    client: TestClient, key: str | None, name: str
) -> None:
    first = upload(client, "a")
    before = count_rows()
    again = upload(client, key, name=name)

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert count_rows() == before


@pytest.mark.parametrize("form", [{"options": '{"seed": 1}'}, {"format": "text"}])
def test_the_same_bytes_read_in_another_way_are_another_dataset(
    client: TestClient, form: dict[str, str]
) -> None:
    first = upload(client, None).json()
    files = {"file": ("a.jsonl", FILE)}
    other = client.post("/v1/datasets", files=files, data={"name": "other", **form})
    taken = client.post(
        "/v1/datasets", files=files, data={"name": "mine", **form, "options": '{"seed": 2}'}
    )

    assert other.status_code == 201
    assert other.json()["id"] != first["id"]
    assert error_of(taken, 409)["code"] == "name_taken"


def test_a_deleted_upload_is_not_found_again(client: TestClient) -> None:
    first = upload(client, None).json()
    client.delete(f"/v1/datasets/{first['id']}")

    assert upload(client, None).status_code == 201


@pytest.mark.parametrize("key", ["a", None])
def test_two_uploads_of_the_same_bytes_at_once_make_one_dataset(
    client: TestClient, key: str | None
) -> None:
    together = Barrier(2)

    def send(name: str) -> Any:
        together.wait()
        return upload(client, key, name=name)

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(send, ["one", "one" if key else "two"]))

    rows = count_rows()
    assert sorted(a.status_code for a in answers) == ([201, 201] if key else [200, 201])
    assert answers[0].json() == answers[1].json()
    assert rows["datasets"] == rows["blobs"] == 3 + 1


def test_two_uploads_of_a_name_at_once_make_one_dataset(client: TestClient) -> None:
    together = Barrier(2)

    def send(num: int) -> Any:
        together.wait()
        return upload(client, None, file=FILE * num)

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(send, [1, 2]))

    rows = count_rows()
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert rows["datasets"] == rows["blobs"] == 3 + 1
