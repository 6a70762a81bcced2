"""Curves, events and checkpoints of a job, shown and saved; the queue; completion in a shell."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from services.client.commands.output import sparkline
from services.client.commands.watching import MOST_KEPT, Thinned
from tests.unit.client.conftest import Result
from tests.unit.client.stub import CREATED, Answer, Stub, error, listing

ROOT = Path(__file__).parents[3]
Unroll = Callable[..., Result]
CURVES = {
    "series": {
        "train/loss": {"step": [1, 2, 3], "value": [3.0, None, 1.0], "time": [CREATED] * 3},
        "val/loss": {"step": [], "value": [], "time": []},
    }
}
CHECKPOINT: dict[str, Any] = {
    "id": "ckpt_1",
    "job_id": "job_1",
    "step": 7,
    "epoch": 1.0,
    "is_best": True,
    "is_last": True,
    "bytes": 1234,
    "sha256": "ab",
    "weights_sha256": "cd",
    "created_at": CREATED,
}


def test_curves_are_a_table_or_json(stub: Stub, unroll: Unroll) -> None:
    stub.on("GET", "/v1/jobs/job_1/metrics", CURVES)

    shown = unroll("metrics", "job_1", "train/loss", "val/loss", "--max-points", "10")
    raw = unroll("metrics", "job_1", "--json")

    [asked, _] = stub.asked("GET", "/v1/jobs/job_1/metrics")
    assert asked.query == {"names": ["train/loss,val/loss"], "max_points": ["10"]}
    assert shown.out.splitlines()[1:] == [
        "train/loss\t3\t1\t3\t1\t█ ▁",
        "val/loss\t0\t-\t-\t-\t",
    ]
    assert json.loads(raw.out) == CURVES


def test_curves_are_saved_as_files(stub: Stub, unroll: Unroll, tmp_path: Path) -> None:
    stub.on("GET", "/v1/jobs/job_1/metrics.csv", Answer(body=b"name,step\n"))
    stub.on("GET", "/v1/jobs/job_1/metrics.tfevents", Answer(body=b"events"))

    saved = unroll("metrics", "job_1", "train/loss", "--csv", "a.csv", "--tfevents", "b.tfevents")
    in_logs = unroll("metrics", "job_1", "--tfevents", ".")
    nowhere = unroll("metrics", "job_1", "--csv", "no/where.csv")

    assert (saved.code, in_logs.code, nowhere.code) == (0, 0, 2)
    assert saved.out == ""
    assert "a.csv has 10 B." in saved.err
    assert (tmp_path / "a.csv").read_bytes() == b"name,step\n"
    assert (tmp_path / "b.tfevents").read_bytes() == b"events"
    assert (tmp_path / "job_1/events.out.tfevents.job_1").read_bytes() == b"events"
    assert stub.asked("GET", "/v1/jobs/job_1/metrics.csv")[0].query == {"names": ["train/loss"]}


def test_what_happened_is_printed_page_after_page(stub: Stub, unroll: Unroll) -> None:
    events = [
        {"id": f"evt_{n}", "type": "log", "data": {"message": f"line {n}"}, "created_at": CREATED}
        for n in range(3)
    ]
    pages = (listing(*events[:2], has_more=True), listing(events[2]), listing())
    stub.on("GET", "/v1/jobs/job_1/events", *pages)

    told = unroll("events", "job_1")
    stub.on("GET", "/v1/jobs/job_1/events", *pages)
    raw = unroll("events", "job_1", "--json")

    assert told.out.splitlines() == ["line 0", "line 1", "line 2"]
    assert [json.loads(line) for line in raw.out.splitlines()] == events
    afters = [asked.query.get("after") for asked in stub.asked("GET", "/v1/jobs/job_1/events")]
    assert afters == [None, ["evt_1"], ["evt_2"]] * 2


def test_checkpoints_are_listed_shown_and_downloaded(
    stub: Stub, unroll: Unroll, tmp_path: Path
) -> None:
    stub.on("GET", "/v1/jobs/job_1/checkpoints", listing(CHECKPOINT))
    stub.on("GET", "/v1/checkpoints/ckpt_1", CHECKPOINT)
    stub.on("GET", "/v1/checkpoints/ckpt_1/download", Answer(body=b"tensors"))
    stub.on("GET", "/v1/checkpoints/ckpt_2/download", error(404, "not_found", "no such thing"))

    listed = unroll("checkpoints", "list", "job_1")
    shown = unroll("checkpoints", "show", "ckpt_1", "--json")
    downloaded = unroll("checkpoints", "download", "ckpt_1")
    unknown = unroll("checkpoints", "download", "ckpt_2")

    assert listed.out.splitlines()[1].startswith("ckpt_1\t7\t1\tbest, last\t1.23 kB\t")
    assert json.loads(shown.out) == CHECKPOINT
    assert downloaded.code == 0
    assert (tmp_path / "ckpt_1.safetensors").read_bytes() == b"tensors"
    assert unknown.code == 3
    assert not (tmp_path / "ckpt_2.safetensors").exists()


def test_the_queue_is_who_trains_and_what_waits(stub: Stub, unroll: Unroll) -> None:
    worker = {"name": "host-1", "device": "cpu", "status": "busy", "job_id": "job_1"}
    stub.on("GET", "/v1/workers", listing({**worker, "last_heartbeat_at": CREATED}))
    queue = {"depth": 3, "by_priority": {"9": 1, "5": 2}, "oldest_age_s": 75.0}
    stub.on("GET", "/v1/queue", queue)

    shown, raw = unroll("queue"), unroll("queue", "--json")

    assert shown.out.splitlines()[1].startswith("host-1\tcpu\tbusy\tjob_1\t")
    assert shown.err == ("3 waiting, the oldest for 1 min 15 s. 1 at priority 9, 2 at priority 5\n")
    assert json.loads(raw.out)["queue"] == queue


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([], ""),
        ([None, None], ""),
        ([2.0], "▁"),
        ([1.0, 1.0], "▁▁"),
        ([0.0, 7.0, None, 3.0], "▁█ ▄"),
        ([float(i // 100) for i in range(800)], "▁▁▁▂▂▂▃▃▃▄▄▄▅▅▅▆▆▆▇▇▇███"),
    ],
)
def test_a_curve_is_drawn_in_one_line(values: list[float | None], drawn: str) -> None:
    assert sparkline(values) == drawn


def test_a_long_curve_is_kept_in_few_points_of_equal_weight() -> None:
    curve = Thinned()
    for value in range(100 * MOST_KEPT):
        curve.add(float(value))

    means = [mean for mean in curve.means if mean is not None]
    gaps = {later - earlier for earlier, later in pairwise(means)}
    assert MOST_KEPT / 2 <= len(means) < MOST_KEPT
    assert gaps == {128.0}
    assert curve.last == 100 * MOST_KEPT - 1


def test_a_shell_completes_commands_and_options(tmp_path: Path) -> None:
    script = """
        eval "$(unroll --show-completion bash)"
        COMP_WORDS=(unroll check) COMP_CWORD=1; _unroll_completion unroll; echo "${COMPREPLY[@]}"
        COMP_WORDS=(unroll submit --cel) COMP_CWORD=2
        _unroll_completion unroll; echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "-euc", script],
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.splitlines() == ["checkpoints", "--cell"], done.stderr
