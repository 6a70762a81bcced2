"""From an experiment to its queued jobs: all of them in one transaction, or none."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy.orm import Session

from services.api.experiments_view import (
    ExperimentCurvesView,
    ExperimentDryRunView,
    ExperimentView,
    MatchingView,
    PlannedArmView,
    curves_view,
    experiment_view,
)
from services.api.submit import NOMINAL_FLOPS_PER_S, why_it_waits
from services.http.idempotency import once
from shared.config import get_settings
from shared.db.datasets import DatasetStore, facts_of
from shared.db.engine import transaction
from shared.db.experiments import ExperimentStore
from shared.db.jobs import JobStore
from shared.db.queue import QueueStore
from shared.db.seed import find_dataset
from shared.db.tables import DatasetRow, ExperimentRow
from shared.jobs.errors import Conflict, InvalidSpec
from shared.jobs.experiments import ExperimentSpec, SeedsSpec
from shared.jobs.grid import Arm, Plan, higher_is_better, metrics_of, plan
from shared.jobs.resolve import estimate
from shared.jobs.spec import JobSpec
from shared.logging import current_request_id, get_logger
from shared.queue import wake_workers

log = get_logger(__name__)
Pairs = Iterable[tuple[int, int]]
"""Seed and place of the arm, in the order in which jobs are made."""


def create(spec: ExperimentSpec, idempotency: dict[str, str] | None = None) -> dict[str, Any]:
    """The new experiment as JSON, or the first answer to the same Idempotency-Key.

    Raises:
        InvalidSpec: with the faults of every arm.
        TooManyQueued: not all jobs may wait; none does.
    """
    job_ids: list[str] = []

    def make(db: Session) -> dict[str, Any]:
        dataset, planned = _planned(db, spec)
        row = _add(db, spec, dataset, planned)
        pairs = [(seed, arm) for seed in spec.seeds for arm in _arms(row)]
        job_ids.extend(_queue(db, row, pairs))
        return experiment_view(db, row).model_dump(mode="json")

    answer = once(idempotency, make)
    if answer.is_first:
        experiment_id = answer.body["id"]
        log.info("experiment queued", experiment_id=experiment_id, num_jobs=len(job_ids))
        wake_workers(job_ids)
    return answer.body


def extend(
    experiment_id: str, wanted: SeedsSpec, idempotency: dict[str, str] | None = None
) -> dict[str, Any]:
    """Train every arm with more seeds; where jobs of a seed were deleted, those are made again.

    Raises:
        Conflict: the experiment was cancelled, or its dataset deleted.
        InvalidSpec: a seed is there already, or they are too many.
    """
    job_ids: list[str] = []

    def make(db: Session) -> dict[str, Any]:
        row = ExperimentStore(db).lock(experiment_id)
        if row.cancelled_at is not None:
            raise Conflict(f"Experiment {row.id} was cancelled; make a new one.")
        job_ids.extend(_queue(db, row, _missing(db, row, wanted.seeds)))
        row.seeds = [*row.seeds, *(seed for seed in wanted.seeds if seed not in row.seeds)]
        return experiment_view(db, row).model_dump(mode="json")

    answer = once(idempotency, make)
    wake_workers(job_ids)
    return answer.body


def cancel(experiment_id: str) -> ExperimentView:
    with transaction() as db:
        return experiment_view(db, ExperimentStore(db).cancel(experiment_id))


def delete(experiment_id: str) -> None:
    with transaction() as db:
        ExperimentStore(db).delete(experiment_id)


def curves(experiment_id: str, metric: str, band: str, max_points: int) -> ExperimentCurvesView:
    with transaction() as db:
        store = ExperimentStore(db)
        row = store.get(experiment_id)
        return curves_view(row, store.curves(row, metric, max_points), metric, band)


def dry_run(spec: ExperimentSpec) -> ExperimentDryRunView:
    with transaction() as db:
        dataset, planned = _planned(db, spec)
        measured = QueueStore(db).flops_per_s()
    speed = measured or NOMINAL_FLOPS_PER_S
    arms = [_planned_arm(arm, dataset, speed, spec.seeds[0]) for arm in planned.arms]
    matching = planned.matching
    return ExperimentDryRunView(
        name=planned.name,
        arms=arms,
        seeds=spec.seeds,
        num_jobs=len(arms) * len(spec.seeds),
        metric=planned.metric,
        higher_is_better=higher_is_better(planned.metric),
        match=spec.match,
        matching=MatchingView(**asdict(matching)) if matching else None,
        estimated_duration_s=len(spec.seeds) * sum(arm.estimated_duration_s for arm in arms),
        duration_basis="newest finished jobs" if measured else "nominal speed",
    )


def _planned_arm(arm: Arm, dataset: DatasetRow, speed: float, seed: int) -> PlannedArmView:
    resolved = _with_seed(arm.spec, seed)
    cost = estimate(resolved, facts_of(dataset))
    spec = resolved.model_dump(mode="json")
    return PlannedArmView(
        index=arm.index,
        arm=arm.values,
        label=arm.label,
        hidden_size=spec["network"]["hidden_size"],
        parameters=cost.num_parameters,
        steps=cost.total_steps,
        estimated_duration_s=cost.flops / speed,
        estimated_memory_bytes=cost.memory_bytes,
        spec=spec,
    )


def _planned(db: Session, spec: ExperimentSpec) -> tuple[DatasetRow, Plan]:
    dataset = find_dataset(db, spec.base.dataset, param="base.dataset")
    return dataset, plan(spec, facts_of(dataset), get_settings().max_experiment_jobs)


def _add(db: Session, spec: ExperimentSpec, dataset: DatasetRow, planned: Plan) -> ExperimentRow:
    facts = facts_of(dataset)
    return ExperimentStore(db).add(
        name=planned.name,
        dataset_id=dataset.id,
        base=spec.base.model_dump(mode="json", exclude_unset=True),
        vary=spec.vary,
        seeds=spec.seeds,
        match=spec.match,
        matching=asdict(planned.matching) if planned.matching else None,
        metric=planned.metric,
        metrics=metrics_of(facts),
        has_test=bool(facts.splits.get("test")),
        arms=[
            {
                "values": arm.values,
                "label": arm.label,
                "num_parameters": arm.num_parameters,
                "spec": arm.spec.model_dump(mode="json"),
            }
            for arm in planned.arms
        ],
    )


def _arms(row: ExperimentRow) -> range:
    return range(len(row.arms))


def _missing(db: Session, row: ExperimentRow, seeds: list[int]) -> list[tuple[int, int]]:
    """The jobs that these seeds need and nobody has made."""
    there = {(run.seed, run.arm) for run in ExperimentStore(db).runs(row, row.metric)}
    missing: list[tuple[int, int]] = []
    for index, seed in enumerate(seeds):
        wanted = [(seed, arm) for arm in _arms(row) if (seed, arm) not in there]
        if not wanted:
            raise InvalidSpec(
                f"Every arm has seed {seed} already; choose another.", param=f"seeds[{index}]"
            )
        missing += wanted
    cap = get_settings().max_experiment_jobs
    if len(there) + len(missing) > cap:
        message = f"With these it would have {len(there) + len(missing)} jobs; {cap} are allowed."
        raise InvalidSpec(message, param="seeds")
    return missing


def _queue(db: Session, row: ExperimentRow, pairs: Pairs) -> list[str]:
    """A first seed of every arm comes first: equal priority and age leave the order to the ids."""
    dataset = DatasetStore(db).find(row.dataset_id) if row.dataset_id else None
    if dataset is None:
        raise Conflict(f"The dataset of experiment {row.id} was deleted; upload it again.")
    DatasetStore(db).hold(dataset)
    facts, job_ids = facts_of(dataset), []
    for seed, arm in pairs:
        spec = _with_seed(JobSpec.model_validate(row.arms[arm]["spec"]), seed)
        cost = estimate(spec, facts)
        request_id = current_request_id()
        job = JobStore(db).add(spec, dataset.id, cost, request_id, experiment_id=row.id, arm=arm)
        job.status_reason = why_it_waits(db, spec)
        job_ids.append(job.id)
    return job_ids


def _with_seed(spec: JobSpec, seed: int) -> JobSpec:
    training = spec.training.model_copy(update={"seed": seed})
    name = f"{spec.name or ''}, seed {seed}"
    return spec.model_copy(update={"training": training, "name": name})
