"""Checkpoints published by hand, words that point to versions, and versions that are taken away."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

from shared.db.checkpoints import CheckpointStore
from shared.db.engine import transaction
from shared.db.tables import JobRow
from tests.integration.api.client import error_of
from tests.integration.seeding import claimed, count_rows, execute, save, spec, succeed


def running(client: TestClient) -> JobRow:
    client.post("/v1/jobs", json=spec(model_name="own"))
    return claimed()


def publish(client: TestClient, checkpoint_id: str, name: str = "net", **options: Any) -> Any:
    body = {"checkpoint_id": checkpoint_id}
    return client.post(f"/v1/models/{name}/versions", json=body, **options)


def point(client: TestClient, alias: str, version: object, name: str = "net") -> Any:
    return client.put(f"/v1/models/{name}/aliases/{alias}", json={"version": version})


@pytest.fixture
def two_versions(client: TestClient) -> list[dict[str, Any]]:
    job = running(client)
    return [publish(client, save(job, step=step).id).json() for step in (1, 2)]


def test_a_checkpoint_of_a_running_job_is_published_with_its_checks_pending(
    client: TestClient,
) -> None:
    job = running(client)
    checkpoint = save(job, step=3, metrics={"val/loss": 0.5})
    answer = publish(client, checkpoint.id)
    version = answer.json()
    model = client.get("/v1/models/net").json()

    assert answer.status_code == 201
    assert (version["name"], version["version"], version["dataset"]) == ("net", 1, "digits")
    assert (version["job_id"], version["checkpoint_id"]) == (job.id, checkpoint.id)
    assert version["metrics"] == {"val/loss": 0.5}
    assert version["mapping"] == "many_to_one"
    assert version["checks"]["status"] == "pending"
    assert model["versions"] == [version]
    assert client.get(f"/v1/jobs/{job.id}").json()["status"] == "running"


def test_a_published_checkpoint_outlives_its_turn_and_its_job(client: TestClient) -> None:
    job = running(client)
    published, other = save(job, b"one", step=1), save(job, b"two", step=2)
    publish(client, published.id)
    with transaction() as db:
        CheckpointStore(db).retain(job.id, [], keep_last=0)
        kept = [row.id for row, _ in CheckpointStore(db).of_job(job.id)]
    succeed(job)
    client.delete(f"/v1/jobs/{job.id}")

    assert other.id not in kept == [published.id]
    version = client.get("/v1/models/net").json()["versions"][0]
    assert (version["job_id"], version["checkpoint_id"]) == (None, None)
    assert count_rows()["blobs"] >= 1


def test_the_same_idempotency_key_publishes_once_also_at_the_same_time(client: TestClient) -> None:
    job = running(client)
    first, second = save(job, step=1).id, save(job, step=2).id
    headers = {"Idempotency-Key": "k"}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: publish(client, first, headers=headers), range(4)))
    other = publish(client, second, headers=headers)

    assert [answer.status_code for answer in answers] == [201] * 4
    assert all(answer.json() == answers[0].json() for answer in answers)
    assert error_of(other, 409)["code"] == "idempotency_mismatch"
    assert client.get("/v1/models/net").json()["latest_version"] == 1


@pytest.mark.parametrize(
    ("name", "body", "status", "param"),
    [
        ("net", {"checkpoint_id": "ckpt_none"}, 404, None),
        ("net", {}, 422, "checkpoint_id"),
        ("net", {"checkpoint_id": 3}, 422, "checkpoint_id"),
        ("net", {"checkpoint_id": "ckpt_none", "version": 2}, 422, "version"),
        ("a b", {"checkpoint_id": "ckpt_none"}, 422, "name"),
    ],
)
def test_what_cannot_be_published_is_refused_at_its_field(
    client: TestClient, name: str, body: dict[str, Any], status: int, param: str | None
) -> None:
    assert error_of(client.post(f"/v1/models/{name}/versions", json=body), status)["param"] == param


def test_without_its_dataset_only_what_was_published_before_tells_how_inputs_are_read(
    client: TestClient,
) -> None:
    job = running(client)
    checkpoint = save(job)
    execute("UPDATE jobs SET dataset_id = NULL")
    refused = publish(client, checkpoint.id)
    execute("UPDATE jobs SET dataset_id = (SELECT id FROM datasets WHERE name = 'digits')")
    publish(client, checkpoint.id)
    execute("UPDATE jobs SET dataset_id = NULL")

    assert "dataset" in error_of(refused, 409)["message"]
    assert publish(client, checkpoint.id).json()["version"] == 2


def test_an_alias_points_to_a_version_and_moves(
    client: TestClient, two_versions: list[dict[str, Any]]
) -> None:
    first = point(client, "production", 1)
    moved = point(client, "production", 2).json()
    point(client, "old", 1)
    model = client.get("/v1/models/net").json()

    assert first.status_code == 200
    assert {k: moved[k] for k in ("object", "model", "alias", "version")} == {
        "object": "alias", "model": "net", "alias": "production", "version": 2,
    }  # fmt: skip
    assert moved["updated_at"] > first.json()["updated_at"]
    assert model["aliases"] == {"old": 1, "production": 2}
    assert [v["aliases"] for v in model["versions"]] == [["production"], ["old"]]


@pytest.mark.parametrize(
    ("alias", "version", "status", "param"),
    [
        ("latest", 1, 422, "alias"),
        ("7", 1, 422, "alias"),
        ("production", 9, 404, "version"),
        ("production", 0, 422, "version"),
        ("production", "one", 422, "version"),
        ("production", None, 422, "version"),
    ],
)
def test_an_alias_that_cannot_be_is_refused_at_its_field(
    client: TestClient, two_versions: object, alias: str, version: object, status: int, param: str
) -> None:
    assert error_of(point(client, alias, version), status)["param"] == param
    assert client.get("/v1/models/net").json()["aliases"] == {}


def test_a_version_that_an_alias_points_to_is_not_deleted(
    client: TestClient, two_versions: object
) -> None:
    point(client, "production", 2)
    refused = error_of(client.delete("/v1/models/net/versions/2"), 409)
    gone = client.delete("/v1/models/net/aliases/production")
    again = client.delete("/v1/models/net/aliases/production")
    deleted = client.delete("/v1/models/net/versions/2")

    assert refused["code"] == "version_in_use"
    assert "(production)" in refused["message"]
    assert (gone.status_code, deleted.status_code) == (204, 204)
    error_of(again, 404)
    error_of(client.delete("/v1/models/net/versions/2"), 404)
    assert [v["version"] for v in client.get("/v1/models/net").json()["versions"]] == [1]


def test_with_its_last_version_a_model_is_gone_and_its_bytes_too(client: TestClient) -> None:
    job = running(client)
    publish(client, save(job, b"shared", step=1).id)
    client.delete("/v1/models/net/versions/1")

    error_of(client.get("/v1/models/net"), 404)
    rows = count_rows()
    assert (rows["models"], rows["model_versions"], rows["checkpoints"]) == (0, 0, 1)
    succeed(job)
    client.delete("/v1/models/own/versions/1")
    client.delete(f"/v1/jobs/{job.id}")
    after = count_rows()
    assert (after["checkpoints"], after["blobs"]) == (0, after["datasets"])


def test_an_alias_to_a_version_that_failed_its_checks_is_refused(
    client: TestClient, two_versions: object
) -> None:
    execute(
        'UPDATE model_versions SET checks = \'{"status": "failed", "reason": "it differs"}\''
        " WHERE version = 2"
    )
    error = error_of(point(client, "production", 2), 409)

    assert error["code"] == "failed_checks"
    assert "it differs" in error["message"]
    assert point(client, "production", 1).status_code == 200
