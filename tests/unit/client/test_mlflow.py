"""Jobs handed over to MLflow itself, on a store of the test's own."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from services.client.mlflow import METRICS_A_BATCH, flattened
from tests.unit.client.conftest import Result
from tests.unit.client.stub import Answer, Stub, job_json, listing
from tests.unit.client.test_progress import CHECKPOINT

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload``:DeprecationWarning"  # of SQLAlchemy, about MLflow's own queries
)
Unroll = Callable[..., Result]
TIMES = {"started_at": "2026-01-02T03:04:06Z", "finished_at": "2026-01-02T03:05:06.500Z"}
POINTS = METRICS_A_BATCH + 1
CSV = "name,step,epoch,value,time\n" + "".join(
    f"train/loss,{step},0.5,{1 / step!r},2026-01-02T03:04:07+00:00\n" for step in range(1, POINTS)
)


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/mlflow.db"


def offer(stub: Stub, **changes: Any) -> None:
    """A job that ended, with a curve of two batches and two checkpoints."""
    job = job_json("succeeded", **{**TIMES, **changes})
    job["spec"] = {**job["spec"], "metadata": {"team": "nlp", "a(b": "c"}, "training": {"lr": 0.1}}
    stub.on("GET", "/v1/jobs/job_1", job)
    last = "val/f1_macro,7,1.0,nan,2026-01-02T03:04:08+00:00\n"
    stub.on("GET", "/v1/jobs/job_1/metrics.csv", Answer(body=(CSV + last).encode()))
    older = {**CHECKPOINT, "id": "ckpt_0", "is_best": False}
    stub.on("GET", "/v1/jobs/job_1/checkpoints", listing(older, CHECKPOINT))
    stub.on("GET", "/v1/checkpoints/ckpt_1/download", Answer(body=b"tensors"))


def test_a_job_becomes_a_run_with_all_it_has_and_once(
    stub: Stub, unroll: Unroll, uri: str, tmp_path: Path
) -> None:
    offer(stub, model={"name": "names", "version": 3})
    export = ("export", "mlflow", "job_1", "--tracking-uri", uri, "--experiment", "mine")

    first, again = unroll(*export), unroll(*export)
    offer(stub, finished_at="2026-01-02T03:06:00Z")  # as after a retry
    retried = unroll(*export)

    assert (first.code, again.code, retried.code) == (0, 0, 0), first.err
    assert first.out == again.out != retried.out
    assert "was already a run" in again.err
    store = MlflowClient(tracking_uri=uri)
    experiment = store.get_experiment_by_name("mine")
    assert experiment is not None
    [kept] = store.search_runs([experiment.experiment_id])
    assert kept.info.run_id == retried.out.strip()
    run = store.get_run(first.out.strip())
    assert (run.info.status, run.info.run_name) == ("FINISHED", "names")
    assert run.info.end_time - run.info.start_time == 60_500
    assert run.data.params["network.cell.type"] == "lstm"
    assert run.data.params["training.lr"] == "0.1"
    assert run.data.tags["unroll.model"] == "names/3"
    assert {"metadata.team", "metadata.a_b"} <= set(run.data.tags)
    curve = store.get_metric_history(run.info.run_id, "train/loss")
    assert [point.step for point in curve] == list(range(1, POINTS))
    assert [point.value for point in curve] == [1 / step for step in range(1, POINTS)]
    assert curve[0].timestamp == 1767323047000
    assert math.isnan(store.get_metric_history(run.info.run_id, "val/f1_macro")[0].value)
    [artifact] = store.list_artifacts(run.info.run_id, "checkpoints")
    downloaded = store.download_artifacts(run.info.run_id, artifact.path, str(tmp_path))
    assert Path(downloaded).read_bytes() == b"tensors"


def test_a_job_that_goes_on_is_not_exported(stub: Stub, unroll: Unroll, uri: str) -> None:
    stub.on("GET", "/v1/jobs/job_1", job_json("running"))

    refused = unroll("export", "mlflow", "job_1", "--tracking-uri", uri)

    assert refused.code == 5
    assert "job_1 is running" in refused.err


def test_a_spec_is_flattened_to_paths() -> None:
    spec = {
        "a": {"b": {"c": 1}, "d": None, "e": [1, 2]},
        "f": "text",
        "g": True,
        "metadata": {"x": "y"},
    }

    assert dict(flattened(spec)) == {"a.b.c": "1", "a.e": "[1, 2]", "f": "text", "g": "true"}
