"""A job that asks for a device is told at once when no worker has it."""

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
        WorkerStore(db).beat("fast", "NVIDIA H100", None)

    assert client.post("/v1/jobs", json=SPEC).json()["status_reason"] is None
