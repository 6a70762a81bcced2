"""Which curves share a chart, and their points in few bytes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Row
from sqlalchemy.orm import Session

from shared.db.metrics import MetricStore
from shared.db.tables import JobRow

MAX_CHARTS = 4
DEFAULT_CHARTS = 2
MAX_POINTS = 600  # of a curve at first; what is new comes whole
ORDER = (
    "loss",
    "accuracy",
    "f1_macro",
    "token_accuracy",
    "exact_match",
    "perplexity",
    "bits_per_token",
    "nll_per_step",
    "mse",
    "mae",
    "edit_rate",
)
"""What a person looks at first; other curves follow by name."""


class CurveView(BaseModel):
    """Columns of equal length, by step."""

    step: list[int]
    epoch: list[float]
    time: list[float]
    """Seconds since the job started."""
    value: list[float | None]
    """null where it was not finite."""


class CurvesView(BaseModel):
    groups: dict[str, list[str]]
    """Charts that there could be, each with the names of its curves."""
    charts: list[str]
    """Those that are answered."""
    series: dict[str, CurveView]
    started_at: datetime


def curves_view(
    db: Session, job: JobRow, wanted: Sequence[str], seen: Mapping[str, int]
) -> CurvesView:
    """The curves of the wanted charts (else of the first ones), past the steps already seen."""
    store = MetricStore(db)
    groups = group(store.names(job.id))
    chosen = [chart for chart in wanted if chart in groups] or first_charts(list(groups))
    origin = job.started_at or job.created_at
    names = [name for chart in chosen[:MAX_CHARTS] for name in groups[chart]]
    return CurvesView(
        groups=groups,
        charts=chosen[:MAX_CHARTS],
        series={
            name: curve_view(store.series(job.id, name, MAX_POINTS, seen.get(name, -1)), origin)
            for name in names
        },
        started_at=origin,
    )


def first_charts(charts: list[str]) -> list[str]:
    """What a page shows before anyone chooses: how good the network is, not how fast."""
    return [chart for chart in charts if chart in ORDER][:DEFAULT_CHARTS] or charts[:1]


def group(names: Sequence[str]) -> dict[str, list[str]]:
    """`train/loss` and `val/loss` make the chart `loss`; a test gives one value and no curve."""
    curves = [name for name in names if not name.startswith("test/")]
    charts = sorted({_chart_of(name) for name in curves}, key=rank)
    return {chart: list(_members(chart, curves)) for chart in charts}


def _members(chart: str, names: Sequence[str]) -> Iterator[str]:
    return (name for name in names if _chart_of(name) == chart)


def _chart_of(name: str) -> str:
    return name.partition("/")[2] or name


def rank(chart: str) -> tuple[int, str]:
    return (ORDER.index(chart) if chart in ORDER else len(ORDER), chart)


def curve_view(rows: Sequence[Row[Any]], origin: datetime) -> CurveView:
    return CurveView(
        step=[row.step for row in rows],
        epoch=[round(row.epoch, 3) for row in rows],
        time=[round((row.time - origin).total_seconds(), 1) for row in rows],
        value=[float(f"{row.value:.6g}") if math.isfinite(row.value) else None for row in rows],
    )
