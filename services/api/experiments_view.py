"""Experiments as they go over the wire: their jobs looked up, ranked and told in one sentence."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.orm import Session

from services.api.views import View
from shared.db.experiments import ExperimentStore, on_test_split
from shared.db.tables import ExperimentRow
from shared.jobs.conclusion import conclusion_of, warnings_of
from shared.jobs.errors import InvalidSpec
from shared.jobs.grid import higher_is_better
from shared.jobs.leaderboard import (
    Progress,
    Run,
    Standing,
    leaderboard_of,
    progress_of,
    status_of,
)
from shared.jobs.states import FINAL, JobStatus
from shared.statistics import half_width

Band = Callable[[Any], tuple[float, float]]
"""The bounds of a bucket of a curve."""


class MatchingView(View):
    target: int
    """Parameters of the base."""
    tolerance: float
    """How far from it an arm may be, as a share of it."""
    largest_deviation: float
    """How far the farthest one is."""


class ProgressView(View):
    total: int
    queued: int
    running: int
    """Those that are asked to stop among them."""
    paused: int
    succeeded: int
    failed: int
    cancelled: int
    ended: int
    fraction: float


class ArmJobView(View):
    id: str
    seed: int
    status: str
    value: float | None
    """The metric at the checkpoint that was kept; null until there is one."""
    test_value: float | None


class StandingView(View):
    """One arm of the leaderboard."""

    index: int
    """Its place in the grid, which never changes."""
    arm: dict[str, Any]
    label: str
    is_best: bool
    metric: str
    mean: float | None
    std: float | None
    """With n - 1; null for fewer than two seeds."""
    ci95: tuple[float, float] | None
    """Of the mean, by Student's t."""
    n: int
    """Seeds that succeeded with a finite value."""
    values: list[float]
    seeds: list[int]
    """Of the values, in the same order."""
    num_pairs: int | None
    """Seeds in common with the best."""
    difference: float | None
    """Mean over these of this arm minus the best."""
    p_value: float | None
    """Of the paired t test against the best, corrected by Holm for all pairs of arms."""
    p_uncorrected: float | None
    is_significant: bool | None
    effect_size: float | None
    """Hedges' g of the paired differences; negative = worse than the best. From 3 pairs on."""
    untested_because: str | None
    test_metric: str | None
    test_mean: float | None
    test_std: float | None
    test_ci95: tuple[float, float] | None
    test_values: list[float | None]
    """Of the same checkpoints and in the order of the values."""
    parameters: int
    hidden_size: int | list[int]
    train_s: float | None
    """Mean seconds of a job that succeeded, all its attempts together."""
    epoch_s: float | None
    """Mean seconds of an epoch of these, with its evaluation."""
    progress: ProgressView
    jobs: list[ArmJobView]


class ExperimentSummaryView(View):
    id: str
    object: Literal["experiment"] = "experiment"
    name: str
    owner: str | None
    status: str
    """running, succeeded, failed or cancelled."""
    dataset: str
    vary: dict[str, list[Any]]
    seeds: list[int]
    num_arms: int
    match: str
    matching: MatchingView | None
    metric: str
    higher_is_better: bool
    test_metric: str | None
    """null where the dataset has no test split."""
    metrics: list[str]
    """What arms can be ranked by."""
    progress: ProgressView
    created_at: datetime
    finished_at: datetime | None
    cancelled_at: datetime | None
    urls: dict[str, str]


class ExperimentView(ExperimentSummaryView):
    base: dict[str, Any]
    """As it was sent."""
    jobs: list[str]
    leaderboard: list[StandingView]
    """Best first; arms without a value last."""
    conclusion: str
    warnings: list[str]


class PlannedArmView(View):
    index: int
    arm: dict[str, Any]
    label: str
    hidden_size: int | list[int]
    parameters: int
    steps: int
    estimated_duration_s: float
    estimated_memory_bytes: int
    spec: dict[str, Any]


class ExperimentDryRunView(View):
    """What an experiment would be and cost; nothing was queued."""

    object: Literal["dry_run"] = "dry_run"
    name: str
    arms: list[PlannedArmView]
    seeds: list[int]
    num_jobs: int
    metric: str
    higher_is_better: bool
    match: str
    matching: MatchingView | None
    estimated_duration_s: float
    """Of all jobs, one after the other."""
    duration_basis: str


class ArmCurveView(View):
    index: int
    label: str
    step: list[int]
    epoch: list[float | None]
    """null for a long curve."""
    mean: list[float]
    low: list[float]
    high: list[float]
    num_jobs: list[int]
    """Seeds that have a point there."""


class ExperimentCurvesView(View):
    object: Literal["curves"] = "curves"
    metric: str
    band: str
    arms: list[ArmCurveView]


def experiment_view(db: Session, row: ExperimentRow, metric: str | None = None) -> ExperimentView:
    """An experiment ranked by `metric`, or by its own.

    Raises:
        InvalidSpec: its arms cannot be ranked by this metric.
    """
    chosen = metric or row.metric
    if chosen not in row.metrics:
        raise InvalidSpec(f"Use one of {', '.join(row.metrics)}.", param="metric")
    runs = ExperimentStore(db).runs(row, chosen)
    board = leaderboard_of(runs, len(row.arms), higher_is_better=higher_is_better(chosen))
    summary = _summary(row, runs, chosen)  # of one reading: else a job may end between two
    labels = [arm["label"] for arm in row.arms]
    return ExperimentView(
        **summary,
        base=row.base,
        jobs=[run.job_id for run in runs],
        leaderboard=[_standing(row, each, chosen) for each in board.standings],
        conclusion=conclusion_of(
            board, Progress(**summary["progress"]), summary["status"], chosen, labels
        ),
        warnings=list(warnings_of(board, labels)),
    )


def summary_views(db: Session, rows: Sequence[ExperimentRow]) -> list[ExperimentSummaryView]:
    states = ExperimentStore(db).states([row.id for row in rows])
    return [ExperimentSummaryView(**_summary(row, states[row.id], row.metric)) for row in rows]


def _summary(row: ExperimentRow, states: Sequence[Any], metric: str) -> dict[str, Any]:
    progress = progress_of([(JobStatus(state.status), state.fraction) for state in states])
    succeeded = [0] * len(row.arms)
    for state in states:
        succeeded[state.arm] += state.status == JobStatus.SUCCEEDED
    base = f"/v1/experiments/{row.id}"
    return {
        "id": row.id,
        "name": row.name,
        "owner": row.owner or None,
        "status": status_of(progress, succeeded, is_cancelled=row.cancelled_at is not None),
        "dataset": row.base["dataset"],
        "vary": row.vary,
        "seeds": row.seeds,
        "num_arms": len(row.arms),
        "match": row.match,
        "matching": row.matching,
        "metric": metric,
        "higher_is_better": higher_is_better(metric),
        "test_metric": on_test_split(metric) if row.has_test else None,
        "metrics": row.metrics,
        "progress": asdict(progress),
        "created_at": row.created_at,
        "finished_at": _ended_at(states),
        "cancelled_at": row.cancelled_at,
        "urls": {
            "self": base,
            "curves": f"{base}/curves",
            "jobs": f"/v1/jobs?experiment={row.id}",
            "dashboard": f"/experiments/{row.id}",
        },
    }


def _ended_at(states: Sequence[Any]) -> datetime | None:
    """When the last job ended; None while one has not."""
    if any(state.status not in FINAL for state in states):
        return None
    return max((state.finished_at for state in states), default=None)


def _standing(row: ExperimentRow, standing: Standing, metric: str) -> StandingView:
    arm, summary, test = row.arms[standing.arm], standing.summary, standing.test_summary
    against, counted = standing.against_best, standing.counted
    progress = progress_of([(run.status, run.fraction) for run in standing.runs])
    return StandingView(
        index=standing.arm,
        arm=arm["values"],
        label=arm["label"],
        is_best=standing.is_best,
        metric=metric,
        mean=summary.mean if summary else None,
        std=summary.std if summary else None,
        ci95=summary.ci95 if summary else None,
        n=len(counted),
        values=[run.value for run in counted if run.value is not None],
        seeds=[run.seed for run in counted],
        num_pairs=against.num_pairs if against else None,
        difference=against.difference if against else None,
        p_value=against.p_value if against else None,
        p_uncorrected=against.p_uncorrected if against else None,
        is_significant=standing.is_worse,
        effect_size=against.effect_size if against else None,
        untested_because=against.untested_because if against else None,
        test_metric=on_test_split(metric) if row.has_test else None,
        test_mean=test.mean if test else None,
        test_std=test.std if test else None,
        test_ci95=test.ci95 if test else None,
        test_values=[run.test_value for run in counted],
        parameters=arm["num_parameters"],
        hidden_size=arm["spec"]["network"]["hidden_size"],
        train_s=standing.train_s,
        epoch_s=standing.epoch_s,
        progress=ProgressView(**asdict(progress)),
        jobs=[_job(run) for run in standing.runs],
    )


def _job(run: Run) -> ArmJobView:
    return ArmJobView(
        id=run.job_id,
        seed=run.seed,
        status=run.status,
        value=run.value if run.counts else None,
        test_value=run.test_value if run.counts else None,
    )


def curves_view(
    row: ExperimentRow, points: Sequence[Any], metric: str, band: str
) -> ExperimentCurvesView:
    """`band`: "range", from the lowest seed to the highest, or "ci95", Student's t of the mean."""
    of_arm: dict[int, list[Any]] = {arm: [] for arm in range(len(row.arms))}
    for point in points:
        of_arm[point.arm].append(point)
    return ExperimentCurvesView(
        metric=metric,
        band=band,
        arms=[_curve(arm, row.arms[arm]["label"], own, BANDS[band]) for arm, own in of_arm.items()],
    )


def _curve(arm: int, label: str, points: list[Any], band: Band) -> ArmCurveView:
    bounds = [band(point) for point in points]
    return ArmCurveView(
        index=arm,
        label=label,
        step=[point.step for point in points],
        epoch=[point.epoch for point in points],
        mean=[point.mean for point in points],
        low=[low for low, _ in bounds],
        high=[high for _, high in bounds],
        num_jobs=[point.num_jobs for point in points],
    )


def _ci95(point: Any) -> tuple[float, float]:
    half = half_width(point.std, point.num_jobs) if point.num_jobs > 1 else 0.0
    return point.mean - half, point.mean + half


BANDS: dict[str, Band] = {"range": lambda point: (point.low, point.high), "ci95": _ci95}
