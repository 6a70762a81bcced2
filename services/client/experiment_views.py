"""What the services answer about experiments, as typed views; sends nothing."""

from datetime import datetime
from typing import Any

from pydantic import Field

from services.client.models import View


class ExperimentProgress(View):
    """Jobs by their state."""

    total: int
    ended: int
    succeeded: int = 0
    failed: int = 0
    running: int = 0
    fraction: float


class Standing(View):
    """One arm of a leaderboard."""

    index: int
    arm: dict[str, Any]
    label: str
    is_best: bool
    mean: float | None = None
    std: float | None = None
    ci95: tuple[float, float] | None = None
    n: int
    values: list[float]
    p_value: float | None = None
    effect_size: float | None = None
    test_mean: float | None = None
    parameters: int
    train_s: float | None = None


class ExperimentSummary(View):
    id: str
    name: str
    status: str
    dataset: str
    seeds: list[int]
    num_arms: int
    metric: str
    higher_is_better: bool
    progress: ExperimentProgress
    created_at: datetime
    urls: dict[str, str] = Field(default_factory=dict)


class Experiment(ExperimentSummary):
    jobs: list[str]
    metrics: list[str] = Field(default_factory=list)
    """What its arms may be ranked by."""
    leaderboard: list[Standing]
    """Best first."""
    conclusion: str
    warnings: list[str] = Field(default_factory=list)


class PlannedArm(View):
    label: str
    parameters: int
    steps: int
    estimated_duration_s: float


class ExperimentPlan(View):
    """What an experiment would be and cost; nothing was queued."""

    arms: list[PlannedArm]
    seeds: list[int]
    num_jobs: int
    metric: str
    matching: dict[str, Any] | None = None
    estimated_duration_s: float


class ArmCurve(View):
    label: str
    step: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]
    num_jobs: list[int]


class ExperimentCurves(View):
    metric: str
    band: str
    arms: list[ArmCurve]
