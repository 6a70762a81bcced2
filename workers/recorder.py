"""What training says of itself, gathered and written about once a second."""

import math
import statistics
import time
from collections import deque
from datetime import UTC, datetime
from typing import Any

import torch
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from shared.db.events import EventStore
from shared.db.metrics import MetricStore, Point
from shared.db.tables import JobRow
from shared.jobs.errors import ErrorClass, JobError
from workers.lease import Lease
from workers.plan import JobFailed, Plan
from workers.training.loop import Step

FLUSH_EVERY_S = 1.0
MAX_PENDING = 5_000  # steps; bounds memory and a flush on very fast training
EPOCHS_FOR_ETA = 5
SHOWN_RECORDS, MAX_RECORDS = 8, 1000  # of a bad batch, in the message and beside it


class Recorder:
    """Keeps steps as tensors until a flush, so that a GPU is waited for once a second only."""

    def __init__(self, plan: Plan, lease: Lease, latest: dict[str, Any]) -> None:
        self.plan, self.lease = plan, lease
        self.latest = dict(latest)
        self.best: dict[str, Any] | None = None
        self.steps: list[Step] = []
        self.points: list[Point] = []
        self.flushed_at = self.epoch_started_at = time.monotonic()
        self.epoch_s: deque[float] = deque(maxlen=EPOCHS_FOR_ETA + 1)
        self.steps_per_s: float | None = None
        self.last_grad_norm = math.nan

    def step(self, step: Step) -> None:
        self.steps.append(step)
        is_due = time.monotonic() - self.flushed_at >= FLUSH_EVERY_S
        if is_due or len(self.steps) >= MAX_PENDING:
            self.flush()

    def metrics(self, metrics: dict[str, float], step: int, epoch: float) -> None:
        """Values of one evaluation."""
        now = datetime.now(UTC)
        self.points += [Point(name, step, epoch, value, now) for name, value in metrics.items()]
        self.latest |= {name: _json(value) for name, value in metrics.items()}

    def epoch_ended(self) -> None:
        now = time.monotonic()
        self.epoch_s.append(now - self.epoch_started_at)
        self.epoch_started_at = now

    def flush(self) -> None:
        """Write what is pending in one fenced transaction.

        Raises:
            JobFailed: a loss is not finite any more.
        """
        bad = self._drain_steps()
        points, self.points = self.points, []
        progress = self.progress() if bad is None else {**self.progress(), "step": bad.number}

        def work(db: Session, job: JobRow) -> None:
            MetricStore(db).add(job.id, points)
            job.progress, job.latest = progress, self.latest
            job.best = self.best or job.best
            if points:
                said = {p.name: _json(p.value) for p in points}
                EventStore(db).add(job.id, "metric", {"step": points[-1].step, "values": said})

        try:
            self.lease.write(work)
        except IntegrityError:
            # the first try was committed and only its answer was lost: all points are there
            self.lease.write(lambda db, job: None)
        if bad is not None:
            raise JobFailed(_not_finite(bad, self.last_grad_norm, self.plan))

    def progress(self) -> dict[str, Any]:
        position, epochs = self.plan.training.position, self.plan.training.epochs
        fraction = self._fraction()
        return {
            "step": position.step,
            "total_steps": self.plan.total_steps,
            "epoch": position.epoch,
            "epochs": epochs,
            "fraction": fraction,
            "steps_per_s": self.steps_per_s,
            "eta_s": self._eta_s(fraction),
        }

    def _fraction(self) -> float:
        return min(1.0, self.plan.training.position.step / max(1, self.plan.total_steps))

    def _eta_s(self, fraction: float) -> float | None:
        """From the median of the last epochs, the first one left out because it warms up."""
        steps_left = self.plan.total_steps * (1.0 - fraction)
        epochs = list(self.epoch_s)[1:]
        if epochs:
            return steps_left / self.plan.steps_per_epoch * statistics.median(epochs)
        return steps_left / self.steps_per_s if self.steps_per_s else None

    def _drain_steps(self) -> Step | None:
        """Turn pending steps into points; the first step without a finite loss."""
        steps, self.steps = self.steps, []
        now = time.monotonic()
        elapsed_s, self.flushed_at = now - self.flushed_at, now
        if not steps:
            return None
        values = torch.stack([t for s in steps for t in (s.loss.float(), s.grad_norm.float())])
        losses, norms = values.view(-1, 2).T.tolist()
        bad = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), None)
        if bad is not None:
            self.last_grad_norm = norms[bad - 1] if bad else self.last_grad_norm
            steps, losses, norms = steps[: bad + 1], losses[: bad + 1], norms[: bad + 1]
        self.steps_per_s = len(steps) / max(elapsed_s, 1e-9)
        self._add_points(steps, losses, norms)
        rate = sum(step.num_sequences for step in steps) / max(elapsed_s, 1e-9)
        last = steps[-1]
        self.metrics({"train/examples_per_s": rate}, last.number, self._epoch_of(last.number))
        if bad is not None:
            return last
        self.last_grad_norm = norms[-1]
        return None

    def _add_points(self, steps: list[Step], losses: list[float], norms: list[float]) -> None:
        now = datetime.now(UTC)
        for step, loss, norm in zip(steps, losses, norms, strict=True):
            epoch = self._epoch_of(step.number)
            for name, value in (
                ("train/loss", loss),
                ("train/grad_norm", norm),
                ("train/lr", step.lr),
            ):
                self.points.append(Point(name, step.number, epoch, value, now))
        last = {"train/loss": losses[-1], "train/grad_norm": norms[-1], "train/lr": steps[-1].lr}
        self.latest |= {name: _json(value) for name, value in last.items()}

    def _epoch_of(self, step: int) -> float:
        return step / self.plan.steps_per_epoch


def _json(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _not_finite(step: Step, grad_norm: float, plan: Plan) -> JobError:
    wanted = plan.spec.training
    clip = "" if wanted.clip_norm else ", set training.clip_norm (1.0 is usual)"
    records = [] if step.rows is None else [int(row) for row in step.rows]
    return JobError(
        "loss_not_finite",
        ErrorClass.USER,
        f"The loss was no longer finite at step {step.number}{_held(records)}; the gradient's norm "
        f"before it was {grad_norm:.4g}. Try a lower learning rate than {wanted.optimizer.lr:g}"
        f"{clip}.",
        {
            "step": step.number,
            "records": records[:MAX_RECORDS],
            "grad_norm_before": _json(grad_norm),
        },
    )


def _held(records: list[int]) -> str:
    """Which records of the training split, counted from 0 as in its preview."""
    if not records:
        return ""
    shown = ", ".join(map(str, records[:SHOWN_RECORDS]))
    more = len(records) - SHOWN_RECORDS
    others = f" and {more} more" if more > 0 else ""
    return f", in a batch of the records {shown}{others} of the training split"
