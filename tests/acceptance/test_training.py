"""The whole path with real processes, over HTTP alone: submit, train, look, predict."""

import json
import math
import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from services.client.client import UnrollClient
from services.standalone import Standalone
from tests.servers import children_of, throw_away_stack, wait_for

ENDED = {"succeeded", "failed", "cancelled"}


@contextmanager
def clients(stack: Standalone) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    with (
        httpx.Client(base_url=stack.api_url, timeout=30) as api,
        httpx.Client(base_url=stack.inference_url, timeout=30) as inference,
    ):
        yield api, inference


def submit(api: httpx.Client, dataset: str, **wanted: Any) -> str:
    network = {"cell": "lstm", "hidden_size": 16, **wanted.pop("network", {})}
    answer = api.post("/v1/jobs", json={"dataset": dataset, "network": network, **wanted})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def job_of(api: httpx.Client, job_id: str) -> dict[str, Any]:
    return api.get(f"/v1/jobs/{job_id}").json()  # type: ignore[no-any-return]


def ended(api: httpx.Client, job_id: str, timeout_s: float = 120) -> dict[str, Any]:
    assert wait_for(lambda: job_of(api, job_id)["status"] in ENDED, timeout_s), job_of(api, job_id)
    return job_of(api, job_id)


def wave(rng: random.Random, label: str) -> list[list[float]]:
    """A series of two features and 5 to 30 steps: slow or fast oscillation with noise."""
    speed = {"slow": 0.3, "fast": 1.5}[label]
    phase = rng.uniform(0, 6)
    return [
        [math.sin(speed * t + phase) + rng.gauss(0, 0.1), math.cos(speed * t + phase)]
        for t in range(rng.randint(5, 30))
    ]


def test_an_uploaded_dataset_of_ragged_multivariate_series_trains_and_serves(
    stack: Standalone,
) -> None:
    rng = random.Random(4)
    records = [{"input": wave(rng, label), "target": label} for label in ["slow", "fast"] * 200]
    body = "\n".join(json.dumps(record) for record in records).encode()
    with clients(stack) as (api, inference):
        upload = api.post(
            "/v1/datasets", files={"file": ("waves.jsonl", body)}, data={"name": "waves"}
        )
        assert upload.status_code == 201, upload.text
        assert upload.json()["schema"]["input"] == {"kind": "numeric", "size": 2, "binary": False}
        optimizer = {"type": "adam", "lr": 0.01}
        job_id = submit(api, "waves", training={"epochs": 8, "optimizer": optimizer})

        job = ended(api, job_id)
        answer = inference.post(
            "/v1/models/waves-lstm/predict",
            json={"inputs": [wave(rng, "slow"), wave(rng, "fast"), wave(rng, "slow")]},
        )

    assert job["status"] == "succeeded", job["error"]
    assert job["latest"]["test/accuracy"] > 0.9
    assert [output["label"] for output in answer.json()["outputs"]] == ["slow", "fast", "slow"]
    assert sum(answer.json()["outputs"][0]["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_a_checkpoint_of_a_running_job_is_published_answers_by_its_alias_and_is_kept(
    stack: Standalone,
) -> None:
    wanted: dict[str, Any] = {
        "training": {"epochs": 100_000, "batch_size": 64},
        "checkpoint": {"keep_last": 100},  # time to publish one
    }
    with (
        clients(stack) as (api, _),
        UnrollClient(stack.api_url, inference_url=stack.inference_url) as client,
    ):
        job_id = submit(api, "copy", **wanted)
        assert wait_for(lambda: len(checkpoints_of(api, job_id)) > 0, 120)
        early = client.checkpoints(job_id).data[0].id
        version = client.publish("early", early)
        client.set_alias("early", "production", version.version)
        [sequence] = [record["input"] for record in client.preview("copy", limit=1)["data"]]
        answer = client.predict("early", [sequence], version="production")
        trace = client.trace("early", sequence, version="production")
        client.cancel(job_id)
        job = ended(api, job_id)
        kept = [each.id for each in client.checkpoints(job_id).data]
        [shown] = client.model("early").versions

    assert (version.checks and version.checks.status) == "pending"
    assert (shown.checks and shown.checks.status) == "passed"
    assert shown.aliases == ["production"]
    assert (answer.version, trace.version) == (1, 1)
    assert trace.layers[0].num_steps == len(answer.outputs[0]["labels"]) == len(sequence)
    assert trace.max_difference is not None
    assert trace.max_difference <= 1e-5
    assert job["status"] == "cancelled"
    assert early in kept


def test_killing_the_api_does_not_stop_a_training(stack: Standalone) -> None:
    with clients(stack) as (api, _):
        job_id = submit(api, "copy", training={"epochs": 3, "batch_size": 64})
        assert wait_for(lambda: job_of(api, job_id)["progress"]["step"] > 0, 120)
        child = next(service for service in stack.services if service.name == "api")
        os.kill(child.pid, signal.SIGKILL)
        assert wait_for(lambda: child.exit_code is not None)
        with pytest.raises(httpx.TransportError):
            api.get("/healthz")
        child.start()
        assert wait_for(lambda: answers(api), 120)
        job = ended(api, job_id)

    assert job["status"] == "succeeded"
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["succeeded"]


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_a_job_whose_worker_is_killed_goes_on_and_ends_with_the_same_weights(
    stack: Standalone,
) -> None:
    wanted: dict[str, Any] = {
        "training": {"epochs": 4, "batch_size": 64},
        "checkpoint": {"every_steps": 10},
        "network": {"dropout": 0.2, "hidden_size": 24},
    }
    with clients(stack) as (api, _):
        calm = ended(api, submit(api, "copy", **wanted))
        job_id = submit(api, "copy", **wanted)
        assert wait_for(lambda: len(checkpoints_of(api, job_id)) > 0, 120)
        for pid in pool_processes(stack):
            os.kill(pid, signal.SIGKILL)

        job = ended(api, job_id)

    assert job["status"] == "succeeded", job["error"]
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["lost", "succeeded"]
    assert job["attempts"][1]["resumed_from_step"] >= 10
    assert job["weights_sha256"] == calm["weights_sha256"]


def checkpoints_of(api: httpx.Client, job_id: str) -> list[Any]:
    return api.get(f"/v1/jobs/{job_id}/checkpoints").json()["data"]  # type: ignore[no-any-return]


def pool_processes(stack: Standalone) -> list[int]:
    """The forked training processes of the stack's workers."""
    parents = [pid for name, pid in stack.record().processes.items() if name.startswith("worker")]
    return [child for pid in parents for child in children_of(pid)]


def test_a_running_job_is_cancelled_within_two_seconds_or_one_step(stack: Standalone) -> None:
    with clients(stack) as (api, _):
        job_id = submit(api, "adding", training={"epochs": 10_000})
        assert wait_for(lambda: job_of(api, job_id)["progress"]["step"] > 0, 120)

        first = api.post(f"/v1/jobs/{job_id}/cancel")
        again = api.post(f"/v1/jobs/{job_id}/cancel")
        job = ended(api, job_id)
        late = api.post(f"/v1/jobs/{job_id}/cancel")
        kept = checkpoints_of(api, job_id)

    assert first.status_code == 200
    assert again.status_code in (200, 409)  # 409 if it had ended by then
    assert (job["status"], late.status_code) == ("cancelled", 409)
    assert len(kept) >= 1


def test_a_hundred_jobs_on_two_workers_all_succeed() -> None:
    with throw_away_stack(workers=2) as stack, clients(stack) as (api, _):
        spec = {
            "dataset": "copy-3",
            "network": {"cell": "elman", "hidden_size": 4},
            "training": {"max_steps": 1, "batch_size": 64},
        }
        ids = {api.post("/v1/jobs", json=spec).json()["id"] for _ in range(100)}

        assert wait_for(lambda: count(api, "succeeded") == 100, 280), count(api, "failed")

        workers = {attempt["worker"] for job in all_jobs(api) for attempt in job["attempts"]}
        once = [len(job["attempts"]) for job in all_jobs(api)]
        version = api.get("/v1/models/copy-3-elman").json()["latest_version"]
    assert len(ids) == 100
    assert once == [1] * 100
    assert len(workers) == 2
    assert version == 100


def all_jobs(api: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        page = api.get("/v1/jobs", params={"limit": 100, **after}).json()
        found += page["data"]
        if not page["has_more"]:
            return found
        after = {"after": page["last_id"]}


def count(api: httpx.Client, status: str) -> int:
    metrics = api.get("/metrics").text
    line = next((m for m in metrics.splitlines() if f'unroll_jobs{{status="{status}"}}' in m), "0")
    return int(float(line.rsplit(maxsplit=1)[-1]))
