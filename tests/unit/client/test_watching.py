"""A job followed: the bar, the ticks, the lines."""

import io
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from services.client.client import Event, Job, TimedOut
from services.client.commands import watching
from services.client.commands.output import age, duration, num_bytes
from services.client.commands.watching import Bar, PlainLines, event_line, progress_text, ticking
from tests.unit.client.stub import job_json

RUNNING = job_json(
    "running",
    progress={"step": 5, "total_steps": 10, "epoch": 1, "epochs": 2, "fraction": 0.5, "eta_s": 75},
    latest={"train/loss": 0.5, "val/loss": 0.25, "train/lr": 0.1},
)


def event(type_: str, **data: object) -> Event:
    return Event.of({"id": "evt_1", "type": type_, "data": data})


def test_items_come_as_they_are_and_a_tick_when_none_comes() -> None:
    seen_tick = threading.Event()

    def slow() -> Iterator[int]:
        yield 1
        seen_tick.wait(10)
        yield 2

    found = []
    for item in ticking(slow(), tick_s=0.02):
        found.append(item)
        if item is None:
            seen_tick.set()

    assert [item for item in found if item is not None] == [1, 2]
    assert None in found


def test_a_fault_of_the_reader_is_raised_where_the_items_are_read() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise LookupError("gone")

    items = ticking(failing(), tick_s=10)

    assert next(items) == 1
    with pytest.raises(LookupError, match="gone"):
        next(items)


def test_ticking_gives_up_in_time() -> None:
    stop = threading.Event()

    def silent() -> Iterator[int]:
        stop.wait(10)
        yield from ()

    with pytest.raises(TimedOut, match=r"within 0\.05 s"):
        list(ticking(silent(), tick_s=10, wait_s=0.05))
    stop.set()


def test_a_line_says_what_happened_and_leaves_out_what_charts_are_for() -> None:
    values = {"train/loss": 0.123456, "train/lr": 0.001, "train/grad_norm": None}

    assert event_line(event("metric", step=7, values=values)) == "metric  step 7  train/loss 0.1235"
    assert event_line(event("metric", step=7, values={"val/loss": None})) == "evaluation  step 7"
    assert event_line(event("status", status="running", reason="attempt 1")) == "running  attempt 1"
    assert event_line(event("log", message="resumed", step=3)) == "resumed  step 3"
    assert event_line(event("checkpoint", id="ckpt_1")) == "checkpoint  id ckpt_1"


def test_progress_is_epoch_loss_and_time_to_go() -> None:
    job = Job.of(RUNNING)

    assert progress_text(job) == "epoch 2/2  train/loss 0.5  val/loss 0.25  1 min 15 s to go"
    assert "to go" not in progress_text(Job.of({**RUNNING, "status": "succeeded"}))


def test_plain_lines_tell_the_progress_only_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = PlainLines()
    further = {**RUNNING, "latest": {"train/loss": 0.4}}

    lines.tick(Job.of(job_json("queued")))
    for raw in (RUNNING, RUNNING, further):
        lines.tick(Job.of(raw))

    text = " 50%  epoch 2/2  train/loss 0.5  val/loss 0.25  1 min 15 s to go\n"
    assert capsys.readouterr().out == text


def bar_on(screen: io.StringIO, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Bar:
    console = Console(file=screen, force_terminal=True, width=120, highlight=False, **options)
    monkeypatch.setattr(watching, "err", lambda: console)
    return Bar()


def test_the_bar_shows_fraction_time_to_go_and_the_curves_of_the_main_metrics(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = io.StringIO()
    bar = bar_on(screen, monkeypatch)

    bar.tick(Job.of(job_json("queued")))
    bar.event(event("status", status="running", reason="attempt 1 on w1"))
    for loss in (8.0, 4.0, 1.0):
        bar.event(event("metric", values={"train/loss": loss, "train/lr": 0.1}))
    bar.event(event("metric", values={"val/accuracy": 0.5, "val/loss": None}))
    bar.tick(Job.of(RUNNING))
    bar.close()

    shown = re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    assert "running  attempt 1 on w1" in shown
    assert " 50% epoch 2/2  1 min 15 s to go" in shown
    assert re.search(r"train/loss    █▄▁ +1\n", shown)
    assert re.search(r"val/accuracy  ▁ +0\.5\n", shown)
    assert not re.search("train/lr|val/loss", shown)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.2, "0 s"), (59.6, "1 min"), (3_725, "1 h 2 min"), (90_000, "1 d 1 h")],
)
def test_a_duration_has_two_units_at_most(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_sizes_and_ages_are_for_people() -> None:
    assert [num_bytes(count) for count in (0, 999, 1_520_000, 3e15)] == [
        *("0 B", "999 B"),
        *("1.52 MB", "3e+03 TB"),
    ]
    assert age(datetime.now(UTC) - timedelta(minutes=3, seconds=20)) == "3 min"
    assert age(datetime.now(UTC) + timedelta(hours=1)) == "0 s"  # by another clock
