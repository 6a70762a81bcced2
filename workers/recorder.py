"""What training says of itself, gathered, and written about once a second behind its back."""

import math
import statistics
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from shared.db.events import EventStore
from shared.db.metrics import MetricStore
from shared.db.tables import JobRow
from shared.jobs.errors import ErrorClass, JobError
from workers.behind import Behind
from workers.lease import Lease
from workers.pending import Pending
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
        self.pending = Pending()
        self.behind = Behind()
        self.flushed_at = self.epoch_started_at = time.monotonic()
        self.epoch_s: deque[float] = deque(maxlen=EPOCHS_FOR_ETA + 1)
        self.steps_per_s: float | None = None
        self.last_grad_norm = math.nan

    def step(self, step: Step) -> None:
        """Take note of a step; once a second, write behind training what was noted.

        Raises:
            JobFailed: a loss is not finite any more.
            LeaseLost: what was written behind met another owner.
        """
        self.behind.check()
        self.pending.steps.append(step)
        is_due = time.monotonic() - self.flushed_at >= FLUSH_EVERY_S
        is_full = len(self.pending.steps) >= MAX_PENDING
        if is_full or (is_due and not self.behind.is_busy()):
            self._flush(self.behind.start)

    def metrics(self, metrics: dict[str, float], step: int, epoch: float) -> None:
        """Values of one evaluation; `latest` has them after the next flush."""
        self.pending.measured.append((metrics, step, epoch, time.time()))

    def epoch_ended(self) -> None:
        now = time.monotonic()
        self.epoch_s.append(now - self.epoch_started_at)
        self.epoch_started_at = now

    def flush(self) -> None:
        """Write what is pending, and return when it is written.

        Raises:
            JobFailed: a loss is not finite any more.
        """
        self.behind.wait()
        self._flush(lambda work: work())

    def _flush(self, run: Callable[[Callable[[], None]], None]) -> None:
        bad = self._drain_steps()
        pending, self.pending = self.pending, Pending()
        self.latest |= {name: _json(value) for name, value in pending.newest().items()}
        progress = self.progress() if bad is None else {**self.progress(), "step": bad.number}
        run(partial(self._write, pending, progress, dict(self.latest), self.best))
        if bad is not None:
            self.behind.wait()
            raise JobFailed(_not_finite(bad, self.last_grad_norm, self.plan))

    def _write(
        self,
        pending: Pending,
        progress: dict[str, Any],
        latest: dict[str, Any],
        best: dict[str, Any] | None,
    ) -> None:
        """One fenced transaction."""
        curves = pending.curves(self.plan.steps_per_epoch)

        def work(db: Session, job: JobRow) -> None:
            MetricStore(db).add_curves(job.id, curves)
            job.progress, job.latest = progress, latest
            job.best = best or job.best
            if curves:
                said = {curve.name: _json(float(curve.values[-1])) for curve in curves}
                step = max(int(curve.steps[-1]) for curve in curves)
                EventStore(db).add(job.id, "metric", {"step": step, "values": said})

        try:
            self.lease.write(work)
        except IntegrityError:
            # the first try was committed and only its answer was lost: all points are there
            self.lease.write(lambda db, job: None)

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
        """Read the pending steps' tensors; the first step without a finite loss."""
        now = time.monotonic()
        elapsed_s, self.flushed_at = now - self.flushed_at, now
        if not self.pending.steps:
            return None
        bad = self._cut_at(self.pending.read())
        steps, norms = self.pending.steps, self.pending.norms
        self.steps_per_s = len(steps) / max(elapsed_s, 1e-9)
        rate = sum(step.num_sequences for step in steps) / max(elapsed_s, 1e-9)
        last = steps[-1]
        epoch = last.number / self.plan.steps_per_epoch
        self.metrics({"train/examples_per_s": rate}, last.number, epoch)
        self.latest |= {
            "train/loss": _json(float(self.pending.losses[-1])),
            "train/grad_norm": _json(float(norms[-1])),
            "train/lr": last.lr,
        }
        if bad is not None:
            return last
        self.last_grad_norm = float(norms[-1])
        return None

    def _cut_at(self, bad: int | None) -> int | None:
        """Keep no step after the one whose loss is not finite, and the norm before it."""
        if bad is not None:
            if bad:
                self.last_grad_norm = float(self.pending.norms[bad - 1])
            self.pending.cut(bad + 1)
        return bad


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
