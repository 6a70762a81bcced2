"""Curves: whole, down-sampled, narrowed and as a download."""

import csv
import io
import math
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from services.api.downloads import PAGE
from services.api.routers.progress import download_events, download_metrics
from shared.db.tables import JobRow
from tests.integration.api.client import error_of
from tests.integration.seeding import claimed, slowly_read, spec, write_curve


@pytest.fixture
def client(shared_client: TestClient) -> TestClient:
    return shared_client


@pytest.fixture
def job(client: TestClient) -> JobRow:
    """A running job of the test's own."""
    client.post("/v1/jobs", json=spec())
    return claimed()


def series(client: TestClient, job: JobRow, **query: Any) -> dict[str, Any]:
    response = client.get(f"/v1/jobs/{job.id}/metrics", params=query)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()["series"]
    return found


def test_a_short_curve_comes_back_whole(client: TestClient, job: JobRow) -> None:
    write_curve(job, [3.0, 2.5, 2.0])
    write_curve(job, [1.0], "val/loss", first_step=3)
    curves = series(client, job)

    assert list(curves) == ["train/loss", "val/loss"]
    assert curves["train/loss"]["step"] == [1, 2, 3]
    assert curves["train/loss"]["value"] == [3.0, 2.5, 2.0]
    assert curves["train/loss"]["epoch"] == [0.0, 0.1, 0.2]
    assert len(curves["train/loss"]["time"]) == 3


def test_a_job_without_points_has_no_curves(client: TestClient, job: JobRow) -> None:
    assert series(client, job) == {}


def test_only_the_named_curves_are_sent(client: TestClient, job: JobRow) -> None:
    for name in ("train/loss", "train/lr", "val/loss"):
        write_curve(job, [1.0], name)

    assert list(series(client, job, names="val/loss, train/lr,val/loss,")) == [
        "val/loss",
        "train/lr",
    ]
    assert series(client, job, names="nothing")["nothing"]["step"] == []


def test_a_long_curve_keeps_its_spikes_its_last_point_and_few_others(
    client: TestClient, job: JobRow
) -> None:
    values = [math.exp(-step / 3000) for step in range(10_000)]
    values[4321], values[7777], values[-1] = 50.0, -50.0, 0.123
    write_curve(job, values)
    curve = series(client, job, max_points=100)["train/loss"]

    assert 50 <= len(curve["step"]) <= 102
    assert curve["step"] == sorted(set(curve["step"]))
    shown = dict(zip(curve["step"], curve["value"], strict=True))
    assert shown[4322] == 50.0
    assert shown[7778] == -50.0
    assert shown[10_000] == 0.123
    assert all(values[step - 1] == value for step, value in shown.items())


def test_what_is_not_finite_is_null_and_hides_no_spike(client: TestClient, job: JobRow) -> None:
    values = [1.0] * 2000
    values[500] = 99.0
    values[501], values[502], values[503] = math.nan, math.inf, -math.inf
    write_curve(job, values)
    curve = series(client, job, max_points=10)["train/loss"]

    assert 99.0 in curve["value"]
    assert None in curve["value"]
    assert len(curve["value"]) < 30


@pytest.mark.parametrize("max_points", [2, 3, 499, 500, 501, 10_000])
def test_any_number_of_points_may_be_asked_for(
    client: TestClient, job: JobRow, max_points: int
) -> None:
    write_curve(job, [float(step % 7) for step in range(500)])
    steps = series(client, job, max_points=max_points)["train/loss"]["step"]

    assert 2 <= len(steps) <= max(max_points, 2) + 1
    assert steps[-1] == 500
    assert len(steps) == 500 or max_points < 500


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("max_points=1", "max_points"),
        ("max_points=20000", "max_points"),
        ("max_points=x", "max_points"),
        (f"names={'x' * 5000}", "names"),
    ],
)
def test_a_faulty_question_is_refused(
    client: TestClient, job: JobRow, query: str, param: str
) -> None:
    assert error_of(client.get(f"/v1/jobs/{job.id}/metrics?{query}"), 422)["param"] == param


def test_a_download_holds_every_point(client: TestClient, job: JobRow) -> None:
    write_curve(job, [0.1 * step for step in range(3000)])
    write_curve(job, [math.nan, 1e-300, math.inf], "val/loss")
    response = client.get(f"/v1/jobs/{job.id}/metrics.csv")

    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert re.search(rf'filename="{job.id}-metrics\.csv"', response.headers["content-disposition"])
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert list(rows[0]) == ["name", "step", "epoch", "value", "time"]
    assert [float(row["value"]) for row in rows[:3000]] == [0.1 * step for step in range(3000)]
    assert [row["value"] for row in rows[3000:]] == ["nan", "1e-300", "inf"]


def test_a_download_can_be_narrowed(client: TestClient, job: JobRow) -> None:
    write_curve(job, [1.0, 2.0])
    write_curve(job, [3.0], "val/loss")
    body = client.get(f"/v1/jobs/{job.id}/metrics.csv?names=val/loss").text

    assert [line.split(",")[0] for line in body.splitlines()] == ["name", "val/loss"]


@pytest.mark.parametrize("download", [download_metrics, download_events])
def test_a_download_of_many_pages_holds_no_transaction_while_its_reader_is_slow(
    client: TestClient, job: JobRow, download: Callable[[str], StreamingResponse]
) -> None:
    write_curve(job, [float(step) for step in range(2 * PAGE + 1)])
    write_curve(job, [1.0], "val/loss")
    pieces = slowly_read(download(job.id).body_iterator)

    assert len(pieces) == 1 + 3 + 1


def test_tensorboard_reads_every_point_with_its_name_step_and_time(
    client: TestClient, job: JobRow, tmp_path: Path
) -> None:
    values = [3.0, math.nan, math.inf, -1e300, 1e-300, 0.1]
    write_curve(job, values, first_step=2**21 - 3)
    write_curve(job, [0.5], "val/f1_macro")
    response = client.get(f"/v1/jobs/{job.id}/metrics.tfevents")
    (tmp_path / "events.out.tfevents.1").write_bytes(response.content)
    reader = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0}).Reload()

    assert response.headers["content-type"] == "application/octet-stream"
    assert f'filename="events.out.tfevents.{job.id}"' in response.headers["content-disposition"]
    assert reader.Tags()["scalars"] == ["train/loss", "val/f1_macro"]
    points = reader.Scalars("train/loss")
    assert [point.step for point in points] == [2**21 - 3 + i for i in range(6)]
    assert [point.value for point in points] == [
        *(3.0, pytest.approx(math.nan, nan_ok=True), math.inf, -math.inf, 0.0),
        pytest.approx(0.1, rel=1e-7),
    ]
    times = series(client, job, names="train/loss")["train/loss"]["time"]
    assert [point.wall_time for point in points] == [
        datetime.fromisoformat(time).timestamp() for time in times
    ]
    assert reader.FirstEventTimestamp() == job.created_at.timestamp()


def test_an_event_file_can_be_narrowed_and_is_whole_without_points(
    client: TestClient, job: JobRow, tmp_path: Path
) -> None:
    write_curve(job, [1.0])
    body = client.get(f"/v1/jobs/{job.id}/metrics.tfevents?names=val/loss").content
    (tmp_path / "events.out.tfevents.1").write_bytes(body)

    assert EventAccumulator(str(tmp_path)).Reload().Tags()["scalars"] == []
