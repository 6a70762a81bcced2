"""Experiments as the pages may meet them: made over HTTP's own functions, trained by a played worker."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import update

from services.api.experiments import create
from shared.db.engine import transaction
from shared.db.seed import ensure_builtin
from shared.db.tables import JobRow
from shared.jobs.experiments import ExperimentSpec
from shared.jobs.states import JobStatus
from tests.integration.seeding import claimed, settle, write_curve

Reached = Mapping[str, Sequence[float]]
"""Cell, and the accuracy that each of its seeds comes to."""
BETTER: Reached = {
    "lstm": [0.84, 0.86, 0.85, 0.87, 0.83],
    "gru": [0.91, 0.92, 0.93, 0.90, 0.94],
    "mingru": [0.90, 0.93, 0.91, 0.92, 0.925],
    "elman": [0.62, 0.75, 0.58, 0.81, 0.70],
}
TWO: Reached = {"lstm": [0.84, 0.86, 0.85], "gru": [0.91, 0.92, 0.93]}


def an_experiment(name: str = "which cell", reached: Reached = BETTER, **changes: Any) -> str:
    """The id of an experiment of which no job has begun."""
    with transaction() as db:
        ensure_builtin(db, "digits")
    spec = {
        "name": name,
        "base": {
            "dataset": "digits",
            "network": {"hidden_size": 8},
            "training": {"epochs": 5},
            "priority": 9,
        },
        "vary": {"network.cell": list(reached)},
        "seeds": list(range(1, 1 + max(map(len, reached.values())))),
        **changes,
    }
    return str(create(ExperimentSpec.model_validate(spec))["id"])


def train(reached: Reached = BETTER, seeds: int | None = None) -> None:
    """Let a worker do the jobs of the first seeds, which have to be the only ones in the queue."""
    for seed in range(max(map(len, reached.values())) if seeds is None else seeds):
        for values in reached.values():
            _train(values[seed])


def _train(accuracy: float) -> None:
    job, steps = claimed(), range(1, 41)
    write_curve(job, [accuracy * (1 - math.exp(-step / 9)) for step in steps], "val/accuracy")
    write_curve(job, [1 - accuracy * (1 - math.exp(-step / 9)) for step in steps], "val/loss")
    write_curve(job, [accuracy], "val/accuracy", first_step=100)
    with transaction() as db:
        best = {"metric": "val/loss", "value": 1 - accuracy, "step": 100}
        latest = {"test/accuracy": accuracy - 0.02}
        db.execute(update(JobRow).where(JobRow.id == job.id).values(best=best, latest=latest))
    settle(job, JobStatus.SUCCEEDED, "succeeded")
