"""The mean curve of each arm of an experiment with its band, as the overlay chart takes them."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from sqlalchemy.orm import Session

from services.api.experiments_view import ArmCurveView, curves_view
from services.dashboard.views.experiments import style
from services.dashboard.views.overlay import in_order
from shared.db.experiments import ExperimentStore
from shared.db.jobs import JobStore
from shared.db.metrics import MetricStore
from shared.db.tables import ExperimentRow
from shared.jobs.states import JobStatus

MAX_POINTS = 200  # of a curve
MAX_CURVES = 12  # more hide one another
ASKED = 6  # jobs that are asked what they measure; all of an experiment measure the same


class ArmCurve(BaseModel):
    """Columns of equal length, by step."""

    name: str
    colour: int
    dash: str
    step: list[int]
    epoch: list[float]
    value: list[float]
    low: list[float]
    high: list[float]


class ArmsView(BaseModel):
    metric: str
    metrics: list[str]
    """What could be shown."""
    curves: list[ArmCurve]


def arms_view(db: Session, row: ExperimentRow, metric: str) -> ArmsView:
    """A metric's curve of each arm; that of the ranking where this one is not known."""
    store = ExperimentStore(db)
    jobs = _begun(store, row)
    metrics = in_order({name for job in jobs for name in MetricStore(db).names(job)})
    chosen = metric if metric in metrics else row.metric
    found = curves_view(row, store.curves(row, chosen, MAX_POINTS), chosen, "range")
    return ArmsView(
        metric=chosen,
        metrics=metrics or [chosen],
        curves=[_curve(arm, _epochs_a_step(db, jobs)) for arm in found.arms[:MAX_CURVES]],
    )


def _begun(store: ExperimentStore, row: ExperimentRow) -> list[str]:
    runs = store.runs(row, row.metric)
    return [run.job_id for run in runs if run.status != JobStatus.QUEUED][:ASKED]


def _epochs_a_step(db: Session, jobs: Sequence[str]) -> float:
    progress = JobStore(db).get(jobs[0]).progress if jobs else {}
    return float(progress["epoch"] / progress["step"]) if progress.get("step") else 0.0


def _curve(arm: ArmCurveView, epochs_a_step: float) -> ArmCurve:
    colour, dash = style(arm.index)
    return ArmCurve(
        name=arm.label,
        colour=colour,
        dash=dash,
        step=arm.step,
        epoch=_epochs(arm, epochs_a_step),
        value=_short(arm.mean),
        low=_short(arm.low),
        high=_short(arm.high),
    )


def _epochs(arm: ArmCurveView, epochs_a_step: float) -> list[float]:
    """Reckoned from the steps for a long curve, whose stretches are kept by step alone."""
    pairs = zip(arm.step, arm.epoch, strict=True)
    return [round(step * epochs_a_step if at is None else at, 3) for step, at in pairs]


def _short(values: Sequence[Any]) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
