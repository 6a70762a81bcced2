"""A job followed to its end, as a progress bar, as plain lines or as JSON lines; submits nothing."""

import queue
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from rich.console import RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from services.client.client import (
    Event,
    Job,
    TimedOut,
    Unavailable,
    Unreachable,
    UnrollClient,
)
from services.client.commands.output import (
    cell_text,
    duration,
    err,
    line,
    note,
    print_json,
    sparkline,
)

TICK_S = 1.0
LINE_EVERY_S = 5.0
MOST_KEPT = 512  # points of a curve; even
NARROW = 72  # columns; below, epoch and time to go get a line of their own
VALUE_WIDTH = 9  # of the last value beside a curve: -1.234e-05 is rare
LEAST_SPARK, MOST_SPARK = 8, 60  # columns of a curve; what has no room for the least has none
MAIN_METRICS = ("train/loss", "val/loss", "val/accuracy", "val/token_accuracy", "val/mae")
FOR_CHARTS = (  # too much for a line
    "train/grad_norm",
    "train/lr",
    "train/examples_per_s",
    "train/padding_share",
)
T = TypeVar("T")


class Watcher(Protocol):
    """What is shown of a job while it runs."""

    def event(self, event: Event) -> None:
        """Something happened."""

    def tick(self, job: Job) -> None:
        """The job as it is now, about once a second."""

    def close(self) -> None:
        """Nothing more comes."""


class JsonLines:
    """One line of JSON an event, on stdout."""

    def event(self, event: Event) -> None:
        print_json(event.raw, one_line=True)

    def tick(self, job: Job) -> None:
        pass

    def close(self) -> None:
        pass


class PlainLines:
    """What happened, and every few seconds how far it is: to stdout, or as notes to stderr."""

    def __init__(self, *, notes: bool = False) -> None:
        self._write = note if notes else line
        self._said = ""
        self._due = 0.0  # when the next progress line is, monotonic

    def event(self, event: Event) -> None:
        if event.type != "metric" or is_evaluation(event):
            self._write(event_line(event))

    def tick(self, job: Job) -> None:
        text = progress_text(job)
        if job.status == "running" and text != self._said and time.monotonic() >= self._due:
            self._write(f"{job.progress.fraction:4.0%}  {text}")
            self._said, self._due = text, time.monotonic() + LINE_EVERY_S

    def close(self) -> None:
        pass


class Thinned:
    """A curve in at most `MOST_KEPT` points, each the mean of equally many values."""

    def __init__(self) -> None:
        self.last = float("nan")
        self.means: list[float | None] = []
        self._stride = 1  # values of a point
        self._open: list[float] = []

    def add(self, value: float) -> None:
        self.last = value
        self._open.append(value)
        if len(self._open) == self._stride:
            self.means.append(sum(self._open) / self._stride)
            self._open.clear()
        if len(self.means) == MOST_KEPT:
            pairs = zip(self.means[::2], self.means[1::2], strict=True)
            self.means = [(a + b) / 2 for a, b in pairs if a is not None and b is not None]
            self._stride *= 2


class _Board(Progress):
    """A progress bar with lines of text below it."""

    below: Sequence[Text] = ()

    def get_renderables(self) -> Iterator[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        yield from self.below


class Bar:
    """A progress bar with the time to go, and the curve of each main metric below, on stderr."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[text]}"),
        )
        self._board = _Board(*columns, console=err(), refresh_per_second=4)
        self._task = self._board.add_task("", total=1.0, text="")
        self._curves: dict[str, Thinned] = {}

    def event(self, event: Event) -> None:
        for name, value in event.data.get("values", {}).items():
            if name in MAIN_METRICS and value is not None:
                self._curves.setdefault(name, Thinned()).add(value)
        if event.type == "log" or (event.type == "status" and event.data.get("reason")):
            self._board.console.print(event_line(event), style="dim", markup=False)

    def tick(self, job: Job) -> None:
        description = job.status
        if job.status == "queued" and job.queue_position:
            description = f"queued, place {job.queue_position}"
        text = "  ".join([*epoch_texts(job), *eta_texts(job)])
        is_narrow = self._board.console.width < NARROW
        first = [Text(text, no_wrap=True, overflow="ellipsis")] if is_narrow and text else []
        self._board.below = [*first, *self._curve_lines()]
        self._board.update(
            self._task,
            completed=job.progress.fraction,
            description=description,
            text="" if is_narrow else text,
        )
        self._board.start()  # once there is something to show

    def close(self) -> None:
        self._board.stop()

    def _curve_lines(self) -> list[Text]:
        """Name, curve and last value of each metric, in columns that fit the terminal."""
        width = max((len(name) for name in self._curves), default=0)
        room = min(self._board.console.width - width - VALUE_WIDTH - 4, MOST_SPARK)
        draws = room >= LEAST_SPARK and not self._board.console.options.ascii_only
        lines = []
        for name in (name for name in MAIN_METRICS if name in self._curves):
            curve = self._curves[name]
            text = Text(f"{name:<{width}}  ", "dim", no_wrap=True, overflow="crop")
            if draws:
                text.append(f"{sparkline(curve.means, room):<{room}}  ", "cyan")
            lines.append(text.append(cell_text(curve.last), "default"))
        return lines


def watcher_for(*, as_json: bool) -> Watcher:
    """JSON if asked for; a bar for a person at a terminal; else lines for the pipe."""
    if as_json:
        return JsonLines()
    return Bar() if sys.stdout.isatty() and sys.stderr.isatty() else PlainLines()


def follow(
    client: UnrollClient, job_id: str, watcher: Watcher, *, wait_s: float | None = None
) -> Job:
    """Show a job until it has ended, and return it; raises `TimedOut`, and leaves it running."""
    seen = time.monotonic() - TICK_S
    try:
        for event in ticking(client.stream(job_id), TICK_S, wait_s):
            if event is not None:
                watcher.event(event)
            if time.monotonic() - seen >= TICK_S:
                with suppress(Unreachable, Unavailable, TimedOut):  # the stream decides when to end
                    watcher.tick(client.job(job_id))
                seen = time.monotonic()
        job = client.job(job_id)
        watcher.tick(job)
    finally:
        watcher.close()
    return job


def ticking(items: Iterator[T], tick_s: float, wait_s: float | None = None) -> Iterator[T | None]:
    """The items, and None whenever none came for a tick; raises `TimedOut` after `wait_s`."""
    arrived: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def read() -> None:
        try:
            for item in items:
                arrived.put(("item", item))
            arrived.put(("end", None))
        except BaseException as fault:
            arrived.put(("fault", fault))

    threading.Thread(target=read, daemon=True).start()
    deadline = time.monotonic() + wait_s if wait_s is not None else float("inf")
    while True:
        remaining_s = deadline - time.monotonic()
        if remaining_s <= 0:
            raise TimedOut(f"the job has not ended within {wait_s:g} s; it goes on")
        try:
            kind, value = arrived.get(timeout=min(tick_s, remaining_s))
        except queue.Empty:
            yield None
            continue
        if kind == "end":
            return
        if kind == "fault":
            raise value
        yield value


def is_evaluation(event: Event) -> bool:
    """Whether a metric event tells of the validation or test split."""
    return any(not name.startswith("train/") for name in event.data.get("values", {}))


def event_line(event: Event) -> str:
    """An event as one line: what it is, then its fields."""
    fields = dict(event.data)
    for name in ("values", "metrics"):  # the numbers themselves, not what they hang on
        inner = fields.pop(name, None)
        fields |= inner if isinstance(inner, dict) else {}
    word = "evaluation" if is_evaluation(event) else event.type
    subject = str(fields.pop("status", "") or fields.pop("message", "") or word)
    reason = fields.pop("reason", None)
    shown = {name: value for name, value in fields.items() if name not in FOR_CHARTS}
    texts = [f"{name} {cell_text(value)}" for name, value in shown.items() if value is not None]
    return "  ".join([subject, *([str(reason)] if reason else []), *texts])


def progress_text(job: Job) -> str:
    """Epoch, the main numbers and the time to go."""
    return "  ".join([*epoch_texts(job), *metric_texts(job), *eta_texts(job)])


def epoch_texts(job: Job) -> list[str]:
    epochs = job.progress.epochs
    return [f"epoch {min(int(job.progress.epoch) + 1, epochs)}/{epochs}"] if epochs else []


def eta_texts(job: Job) -> list[str]:
    eta_s = job.progress.eta_s
    return [] if eta_s is None or job.is_final else [f"{duration(eta_s)} to go"]


def metric_texts(job: Job) -> list[str]:
    return [f"{name} {cell_text(job.latest[name])}" for name in MAIN_METRICS if name in job.latest]
