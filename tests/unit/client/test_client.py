"""The client's nouns and verbs, over a real socket."""

import subprocess
import sys
from pathlib import Path

import pytest

from services.client import client as public
from services.client.client import NotFound, TimedOut, UnrollClient
from tests.unit.client.stub import (
    Answer,
    Stub,
    dataset_json,
    job_json,
    listing,
    model_json,
)

HEAVY = ("torch", "celery", "sqlalchemy", "fastapi", "redis", "psycopg", "numpy", "pyarrow")


def test_a_view_keeps_the_answer_exactly_and_its_added_fields(
    stub: Stub, client: UnrollClient
) -> None:
    raw = job_json("running")
    stub.on("GET", "/v1/jobs/job_1", raw)

    job = client.job("job_1")

    assert job.raw == raw
    assert job.model_extra is not None
    assert job.model_extra["added_later"] == {"kept": "ü"}
    assert job.created_at.utcoffset() is not None


def test_iterating_follows_the_pages_to_the_last(stub: Stub, client: UnrollClient) -> None:
    first = listing(job_json(job_id="job_3"), job_json(job_id="job_2"), has_more=True)
    stub.on("GET", "/v1/jobs", first, listing(job_json(job_id="job_1")))

    jobs = list(client.jobs(status=["queued", "running"], metadata={"team": "nlp"}))

    assert [job.id for job in jobs] == ["job_3", "job_2", "job_1"]
    queries = [request.query for request in stub.requests]
    common = {"status": ["queued", "running"], "metadata[team]": ["nlp"], "limit": ["100"]}
    assert queries == [common, {**common, "after": ["job_2"]}]


def test_an_empty_list_is_no_page_more(stub: Stub, client: UnrollClient) -> None:
    stub.on("GET", "/v1/models", listing())

    assert list(client.models()) == []
    assert len(stub.requests) == 1


def test_names_stay_one_part_of_a_path(stub: Stub, client: UnrollClient) -> None:
    stub.on("GET", "/v1/datasets/a%2F..%2Fb%3Fc%20d", dataset_json())

    assert client.dataset("a/../b?c d").name == "surnames"


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_would_leave_its_path_is_not_found(
    stub: Stub, client: UnrollClient, name: str
) -> None:
    with pytest.raises(NotFound, match="nothing called"):
        client.model(name)

    assert stub.requests == []


def test_waiting_ends_with_the_job(stub: Stub, client: UnrollClient, pauses: list[float]) -> None:
    stub.on("GET", "/v1/jobs/job_1", job_json(), job_json("running"), job_json("failed"))

    assert client.wait("job_1").status == "failed"
    assert pauses == [0.2, 0.4]


def test_waiting_gives_up_in_time_and_says_how_far_the_job_is(
    stub: Stub, client: UnrollClient
) -> None:
    stub.on("GET", "/v1/jobs/job_1", job_json("running"))

    with pytest.raises(TimedOut, match=r"job_1 is still running after 0\.05 s"):
        client.wait("job_1", timeout_s=0.05)


def test_a_dry_run_queues_nothing(stub: Stub, client: UnrollClient) -> None:
    plan = {"spec": {"dataset": "d"}, "num_parameters": 5, "steps": 7}
    cost = {"estimated_memory_bytes": 1.0, "estimated_duration_s": 2.0}
    stub.on("POST", "/v1/jobs", plan | cost)

    assert client.dry_run({"dataset": "d"}).num_parameters == 5
    assert stub.requests[0].query == {"dry_run": ["true"]}
    assert "Idempotency-Key" not in stub.requests[0].headers


@pytest.mark.parametrize(
    ("version", "path"),
    [
        (None, "/v1/models/names/predict"),
        (3, "/v1/models/names/versions/3/predict"),
        ("best", "/v1/models/names/versions/best/predict"),
    ],
)
def test_a_prediction_names_its_version(
    stub: Stub, client: UnrollClient, version: str | int | None, path: str
) -> None:
    stub.on("POST", path, {"model": "names", "version": 3, "outputs": [{"value": 1.0}]})

    found = client.predict("names", ["Rossi"], version=version, options={"seed": 1})

    assert (found.version, found.outputs) == (3, [{"value": 1.0}])
    assert stub.requests[0].json == {"inputs": ["Rossi"], "options": {"seed": 1}}


def test_a_checkpoint_is_written_as_it_came(
    stub: Stub, client: UnrollClient, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 5000
    stub.on("GET", "/v1/checkpoints/ckpt_1/download", Answer(200, content))

    client.download_checkpoint("ckpt_1", tmp_path / "best.safetensors")

    assert (tmp_path / "best.safetensors").read_bytes() == content


def test_an_upload_takes_its_name_from_the_file_unless_given(
    stub: Stub, client: UnrollClient, tmp_path: Path
) -> None:
    path = tmp_path / "my names.csv"
    path.write_text("input,target\na,b\n")
    stub.on("POST", "/v1/datasets", Answer(201, dataset_json()))

    client.upload(path)
    client.upload(path, name="other", format="csv")

    default, given = (request.body for request in stub.requests)
    assert b'name="name"\r\n\r\nmy names\r\n' in default
    assert b'name="format"\r\n\r\nauto\r\n' in default
    assert b'name="name"\r\n\r\nother\r\n' in given
    assert b'name="format"\r\n\r\ncsv\r\n' in given


def test_readiness_is_read_from_a_service_that_is_not_ready(
    stub: Stub, client: UnrollClient
) -> None:
    body = {"status": "unavailable", "checks": {"database": "ok", "broker": "away"}}
    stub.on("GET", "/readyz", Answer(503, body))

    assert client.readiness("inference").checks["broker"] == "away"
    assert len(stub.requests) == 1


def test_models_and_metrics_are_typed(stub: Stub, client: UnrollClient) -> None:
    stub.on("GET", "/v1/models/names", model_json())
    series = {"step": [1, 2], "value": [0.5, None], "time": []}
    stub.on("GET", "/v1/jobs/job_1/metrics", {"series": {"train/loss": series}})

    assert client.model("names").versions[0].metrics == {"val/loss": 0.5}
    assert client.metrics("job_1", ["train/loss"], max_points=9).series["train/loss"].value == [
        0.5,
        None,
    ]
    assert stub.requests[-1].query == {"names": ["train/loss"], "max_points": ["9"]}


def test_every_public_name_exists() -> None:
    assert all(hasattr(public, name) for name in public.__all__)


@pytest.mark.parametrize("module", ["services.client.client", "services.client.cli"])
def test_importing_the_client_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"

    found = subprocess.check_output([sys.executable, "-c", code], text=True)

    assert found.strip() == "[]"
