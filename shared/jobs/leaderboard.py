"""From the jobs of an experiment to its leaderboard and one sentence. No SQL, no HTTP."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.jobs.states import FINAL, JobStatus
from shared.statistics import ALPHA, Comparison, PairedTest, Summary, compare, summary_of


class ExperimentStatus(StrEnum):
    """Where an experiment is in its life; it follows from its jobs."""

    RUNNING = "running"  # a job of it waits, runs or is paused
    SUCCEEDED = "succeeded"  # all jobs ended, and two seeds of each arm succeeded
    FAILED = "failed"  # all jobs ended, and some arm has not two seeds to show
    CANCELLED = "cancelled"  # someone asked; jobs that run stop at their next step


@dataclass(frozen=True, slots=True)
class Run:
    """One job, as its experiment sees it."""

    job_id: str
    arm: int
    seed: int
    status: JobStatus
    fraction: float = 0.0
    value: float | None = None
    """The validation metric at the checkpoint that was kept; None before there is one."""
    test_value: float | None = None
    """The test metric of the same checkpoint."""
    train_s: float | None = None
    finished_at: datetime | None = None
    epochs: int = 0
    """Those that it trained."""

    @property
    def counts(self) -> bool:
        """Whether it has a number to compare."""
        is_number = self.value is not None and math.isfinite(self.value)
        return self.status is JobStatus.SUCCEEDED and is_number


@dataclass(frozen=True, slots=True)
class Standing:
    """One arm on the leaderboard."""

    arm: int
    runs: list[Run]
    """In the order of their seeds."""
    summary: Summary | None
    test_summary: Summary | None
    against_best: PairedTest | None
    """None for the best, and for an arm without values."""
    is_best: bool

    @property
    def counted(self) -> list[Run]:
        return [run for run in self.runs if run.counts]

    @property
    def train_s(self) -> float | None:
        """Mean of the jobs that succeeded."""
        took = [run.train_s for run in self.counted if run.train_s is not None]
        return sum(took) / len(took) if took else None

    @property
    def epoch_s(self) -> float | None:
        """The same of one epoch, evaluation and checkpoints included."""
        epochs = sum(run.epochs for run in self.counted)
        return self.train_s * len(self.counted) / epochs if self.train_s and epochs else None

    @property
    def is_worse(self) -> bool | None:
        """Whether the best is significantly better; None where nobody can tell."""
        p_value = self.against_best.p_value if self.against_best else None
        return None if p_value is None else p_value < ALPHA


@dataclass(frozen=True, slots=True)
class Progress:
    """How many jobs are in which state, and how far they are in all."""

    total: int = 0
    queued: int = 0
    running: int = 0
    paused: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    ended: int = 0
    fraction: float = 0.0


SHOWN_AS = {JobStatus.CANCELLING: "running", JobStatus.PAUSING: "running"}


def progress_of(states: Sequence[tuple[JobStatus, float]]) -> Progress:
    """Of the status and the fraction of each job; what has ended is done, however it ended."""
    counts = Counter(SHOWN_AS.get(status, status.value) for status, _ in states)
    ended = sum(status in FINAL for status, _ in states)
    done = sum(1.0 if status in FINAL else fraction for status, fraction in states)
    share = done / len(states) if states else 1.0
    return Progress(total=len(states), ended=ended, fraction=share, **counts)


def status_of(progress: Progress, succeeded: Sequence[int], *, is_cancelled: bool) -> str:
    """`succeeded` = how many seeds of each arm did."""
    if is_cancelled:
        return ExperimentStatus.CANCELLED
    if progress.ended < progress.total:
        return ExperimentStatus.RUNNING
    is_enough = all(count >= 2 for count in succeeded)
    return ExperimentStatus.SUCCEEDED if is_enough else ExperimentStatus.FAILED


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """Arms by their means, best first; those without values last, in the order of the grid."""

    standings: list[Standing] = field(default_factory=list)

    @property
    def ranked(self) -> list[Standing]:
        return [standing for standing in self.standings if standing.summary]


def leaderboard_of(
    runs: Sequence[Run], num_arms: int, *, higher_is_better: bool, has_test: bool = True
) -> Leaderboard:
    """Ranks arms by validation; the test metric is only told, so that it chose nothing."""
    of_arm: list[list[Run]] = [[] for _ in range(num_arms)]
    for run in sorted(runs, key=lambda run: run.seed):
        of_arm[run.arm].append(run)
    values = [{run.seed: run.value for run in own if run.counts} for own in of_arm]
    known = [{s: v for s, v in each.items() if v is not None} for each in values]
    compared = compare(known, higher_is_better=higher_is_better)
    rest = [arm for arm in range(num_arms) if arm not in compared.order]
    return Leaderboard(
        [_standing(arm, of_arm[arm], compared, has_test) for arm in (*compared.order, *rest)]
    )


def _standing(arm: int, runs: list[Run], compared: Comparison, has_test: bool) -> Standing:
    counted = [run for run in runs if run.counts]
    tests = [run.test_value for run in counted if run.test_value is not None] if has_test else []
    finite = [value for value in tests if math.isfinite(value)]
    return Standing(
        arm,
        runs,
        summary_of([run.value for run in counted if run.value is not None]),
        summary_of(finite),
        compared.tests.get(arm),
        is_best=compared.order[:1] == [arm],
    )
