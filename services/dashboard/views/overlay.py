"""Several jobs in one picture: their curves on one scale, and where their specs differ."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from services.dashboard.views import words
from services.dashboard.views.curves import CurveView, curve_view, rank
from services.dashboard.views.rows import RowView, rows_of
from services.dashboard.views.snippets import paths
from shared.db.metrics import MetricStore
from shared.db.tables import JobRow

MAX_POINTS = 600  # of a curve
DASHES = ("solid", "dashed", "dotted", "dashdot", "long", "short")
MAX_JOBS = len(DASHES)
FIRST = ("val/loss", "train/loss")
OWN = ("name", "model_name", "metadata", "mapping", "alignment")
"""Of every job its own, or said by the dataset: no difference worth a row."""


class OverlayCurve(CurveView):
    name: str
    colour: int
    """Of the series, from 1."""
    dash: str
    low: list[float | None] = Field(default_factory=list)
    high: list[float | None] = Field(default_factory=list)
    """A band around the curve; none where empty."""


class OverlayView(BaseModel):
    metric: str
    metrics: list[str]
    """What could be shown."""
    curves: list[OverlayCurve]


def overlay(db: Session, jobs: Sequence[JobRow], metric: str) -> OverlayView:
    """A metric's curve of each job; the first metric where that one is not known."""
    store = MetricStore(db)
    metrics = in_order({name for job in jobs for name in store.names(job.id)})
    chosen = metric if metric in metrics else next(iter(metrics), "val/loss")
    return OverlayView(
        metric=chosen,
        metrics=metrics,
        curves=[_curve(store, job, place, chosen) for place, job in enumerate(jobs)],
    )


def in_order(names: Iterable[str]) -> list[str]:
    """What a person looks at first comes first; a test gives one value and no curve."""
    return sorted((name for name in names if not name.startswith("test/")), key=_order)


def _order(name: str) -> tuple[Any, ...]:
    return (FIRST.index(name) if name in FIRST else len(FIRST), rank(name.partition("/")[2]), name)


def _curve(store: MetricStore, job: JobRow, place: int, metric: str) -> OverlayCurve:
    rows = store.series(job.id, metric, MAX_POINTS)
    view = curve_view(rows, job.started_at or job.created_at)
    name = f"{job.name} …{job.id[-6:]}"
    return OverlayCurve(**view.model_dump(), name=name, colour=place + 1, dash=DASHES[place])


@dataclass(frozen=True, slots=True)
class Compared:
    rows: list[RowView]
    differing: list[tuple[str, list[str]]]
    """Path of the spec, and what each job has there."""
    results: list[tuple[str, list[str]]]
    """Metric, and the latest value of each job."""
    num_equal: int


def compared(db: Session, jobs: Sequence[JobRow]) -> Compared:
    lines = spec_lines(jobs)
    metrics = sorted({name for job in jobs for name in job.latest}, key=_order)
    return Compared(
        rows=rows_of(db, jobs),
        differing=[line for line in lines if len(set(line[1])) > 1],
        results=[(m, [words.number(job.latest.get(m)) for job in jobs]) for m in metrics],
        num_equal=sum(len(set(values)) == 1 for _, values in lines),
    )


def spec_lines(jobs: Sequence[JobRow]) -> list[tuple[str, list[str]]]:
    """Every path of the specs that means something between jobs, and what each job has there."""
    specs = [dict(paths(job.spec)) for job in jobs]
    known = sorted({path for spec in specs for path in spec})
    shown = [path for path in known if path.partition(".")[0] not in OWN]
    return [(path, [_said(spec.get(path)) for spec in specs]) for path in shown]


def _said(value: Any) -> str:
    if value is None:
        return words.NONE
    return value if isinstance(value, str) else json.dumps(value)
