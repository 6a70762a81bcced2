"""A job that asks for a device is told at once when no worker has it."""

import pytest
from fastapi.testclient import TestClient

from shared.db.engine import transaction
from shared.db.workers import WorkerStore

SPEC = {"dataset": "copy-3", "network": {"cell": "gru"}, "resources": {"device": "cuda"}}


def test_a_job_for_cuda_says_that_no_worker_has_it(client: TestClient) -> None:
    with transaction() as db:
        WorkerStore(db).beat("plain", "cpu", None)

    job = client.post("/v1/jobs", json=SPEC).json()

    assert (job["status"], job["status_reason"]) == (
        "queued",
        "waits for a worker with CUDA; none is connected",
    )


def test_it_waits_without_a_word_where_a_worker_has_it(client: TestClient) -> None:
    with transaction() as db:
        WorkerStore(db).beat("fast", "NVIDIA H100", None, num_gpus=1)

    assert client.post("/v1/jobs", json=SPEC).json()["status_reason"] is None


@pytest.mark.parametrize(
    ("device", "num_gpus", "reason"),
    [
        ("cuda", 1, "waits for a worker with 2 GPUs; none is connected"),
        ("cuda", 2, None),
        ("auto", 1, "waits for a worker with 2 GPUs; none is connected"),
        ("auto", 0, None),
        ("cpu", 1, None),
    ],
)
def test_a_job_for_several_devices_waits_for_a_worker_that_has_as_many(
    client: TestClient, device: str, num_gpus: int, reason: str | None
) -> None:
    with transaction() as db:
        WorkerStore(db).beat("only", "some device", None, num_gpus)
    resources = {"device": device, "devices": 2}

    job = client.post("/v1/jobs", json={**SPEC, "resources": resources}).json()

    assert job["status_reason"] == reason
    assert job["spec"]["resources"]["devices"] == 2


def test_workers_say_how_many_gpus_they_have(client: TestClient) -> None:
    with transaction() as db:
        WorkerStore(db).beat("fast", "NVIDIA H100", None, num_gpus=2)

    [worker] = client.get("/v1/workers").json()["data"]

    assert (worker["device"], worker["num_gpus"]) == ("NVIDIA H100", 2)
