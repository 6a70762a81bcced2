"""Experiments: make, look, follow, extend, cancel, delete."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from services.api import experiments
from services.api.experiments_view import (
    ExperimentCurvesView,
    ExperimentDryRunView,
    ExperimentSummaryView,
    ExperimentView,
    experiment_view,
    summary_views,
)
from services.api.parameters import PageOfExperiments
from services.api.views import ListView, list_of
from services.http.errors import CONFLICT, NOT_FOUND, TOO_MANY
from services.http.idempotency import Idempotency
from shared.db.engine import transaction
from shared.db.experiments import ExperimentStore
from shared.jobs.experiments import ExperimentSpec, SeedsSpec

router = APIRouter(prefix="/v1/experiments", tags=["experiments"])
Metric = Annotated[str, Query(max_length=200, description="name of a curve")]
RankedBy = Annotated[
    str | None, Query(max_length=200, description="a validation metric; default: its own")
]


@router.post(
    "",
    status_code=201,
    response_model=ExperimentView,
    responses={
        200: {"model": ExperimentDryRunView, "description": "Dry run"},
        **NOT_FOUND,
        **CONFLICT,
        **TOO_MANY,
    },
)
async def create_experiment(
    spec: ExperimentSpec,
    idempotency: Idempotency,
    dry_run: Annotated[bool, Query(description="list the arms; queue nothing")] = False,
) -> JSONResponse:
    """Queue every arm with every seed, once all of them have been checked."""
    if dry_run:
        view = await run_in_threadpool(experiments.dry_run, spec)
        return JSONResponse(view.model_dump(mode="json"), 200)
    answer = await run_in_threadpool(experiments.create, spec, idempotency)
    return JSONResponse(answer, 201)


@router.get("")
def list_experiments(page: PageOfExperiments) -> ListView[ExperimentSummaryView]:
    """Experiments, newest first, without their leaderboards."""
    with transaction() as db:
        found = ExperimentStore(db).page(page.after, page.limit)
        views = summary_views(db, found.rows)
    return list_of(views, "id", has_more=found.has_more)


@router.get("/{experiment_id}", responses=NOT_FOUND)
def show_experiment(experiment_id: str, metric: RankedBy = None) -> ExperimentView:
    """How far it is, its leaderboard, and what it has shown in one sentence."""
    with transaction() as db:
        return experiment_view(db, ExperimentStore(db).get(experiment_id), metric)


@router.get("/{experiment_id}/curves", responses=NOT_FOUND)
def read_experiment_curves(
    experiment_id: str,
    metric: Metric = "val/loss",
    max_points: Annotated[int, Query(ge=2, le=2000)] = 200,
    band: Literal["range", "ci95"] = "range",
) -> ExperimentCurvesView:
    """A curve for each arm: the mean over its seeds, and how far they lie apart."""
    return experiments.curves(experiment_id, metric, band, max_points)


@router.post("/{experiment_id}/cancel", responses={**NOT_FOUND, **CONFLICT})
def cancel_experiment(experiment_id: str) -> ExperimentView:
    """Cancel all its jobs that have not ended."""
    return experiments.cancel(experiment_id)


@router.post(
    "/{experiment_id}/seeds",
    status_code=201,
    response_model=ExperimentView,
    responses={**NOT_FOUND, **CONFLICT, **TOO_MANY},
)
async def extend_experiment(
    experiment_id: str, seeds: SeedsSpec, idempotency: Idempotency
) -> JSONResponse:
    """Train every arm with more seeds."""
    answer: dict[str, Any] = await run_in_threadpool(
        experiments.extend, experiment_id, seeds, idempotency
    )
    return JSONResponse(answer, 201)


@router.delete("/{experiment_id}", status_code=204, responses={**NOT_FOUND, **CONFLICT})
def delete_experiment(experiment_id: str) -> None:
    """Forget an experiment whose jobs have ended; jobs and models stay, each by itself."""
    experiments.delete(experiment_id)
