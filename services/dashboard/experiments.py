"""The pages of experiments: a list of them, and what one has shown so far."""

from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from services.api import experiments as api
from services.api.experiments_view import ExperimentSummaryView, experiment_view, summary_views
from services.api.routers.experiments import create_experiment
from services.dashboard.access import CHANGES, can_change, data_login, page_login
from services.dashboard.answers import conditional, conditional_part, part_text
from services.dashboard.rendering import PageRoute, render
from services.dashboard.views.arms import MAX_CURVES, arms_view
from services.dashboard.views.experiments import detail, head, next_seeds, seeds_of, vary_lines
from shared.db.engine import transaction
from shared.db.experiments import ExperimentStore
from shared.db.tables import ExperimentRow
from shared.jobs.errors import InvalidSpec
from shared.jobs.experiments import SeedsSpec

pages = APIRouter(route_class=PageRoute, dependencies=[Depends(page_login)])
data = APIRouter(prefix="/ui/experiments", dependencies=[Depends(data_login)])
PAGE_SIZE = 20
MAX_CONCLUSIONS = 500  # kept, as an experiment that has ended is looked at again and again
Text = Annotated[str, Query(max_length=200)]
RankedBy = Annotated[str, Query(max_length=200)]


@pages.get("/experiments", response_class=HTMLResponse)
def experiments_page(request: Request, after: Text = "") -> HTMLResponse:
    return render("experiments.html", may_change=can_change(request), **_list(after))


@data.get("")
def list_part(request: Request, after: Text = "") -> Response:
    return conditional_part(request, "experiments", **_list(after))


def _list(after: str) -> dict[str, Any]:
    with transaction() as db:
        found = ExperimentStore(db).page(after or None, PAGE_SIZE)
        views = summary_views(db, found.rows)
    return {
        "lines": [(head(view), _conclusion_of(view)) for view in views],
        "after": after,
        "older": views[-1].id if found.has_more else None,
    }


def _conclusion_of(view: ExperimentSummaryView) -> str:
    if view.finished_at is None:
        return ""
    return _conclusion(view.id, view.finished_at, view.progress.total)


@lru_cache(maxsize=MAX_CONCLUSIONS)
def _conclusion(experiment_id: str, finished_at: datetime, num_jobs: int) -> str:
    """Of an experiment that has ended; it changes only when jobs come or go or are tried again."""
    with transaction() as db:
        return experiment_view(db, ExperimentStore(db).get(experiment_id)).conclusion


@pages.get("/experiments/{experiment_id}", response_class=HTMLResponse)
def experiment_page(request: Request, experiment_id: str, rank: RankedBy = "") -> HTMLResponse:
    """Ranked by one of its metrics, `rank`; by its own where that is none of them."""
    with transaction() as db:
        row = ExperimentStore(db).get(experiment_id)
    values = _values(request, experiment_id, rank)
    return render(
        "experiment.html",
        metrics=row.metrics,
        is_cancelled=row.cancelled_at is not None,
        next_seeds=next_seeds(row.seeds),
        **values,
    )


@pages.get("/experiments/{experiment_id}/curves", response_class=HTMLResponse)
def curves_page(request: Request, experiment_id: str) -> HTMLResponse:
    with transaction() as db:
        row = ExperimentStore(db).get(experiment_id)
    return render(
        "experiment_curves.html",
        may_change=can_change(request),
        experiment=row,
        num_left_out=max(0, len(row.arms) - MAX_CURVES),
        num_shown=MAX_CURVES,
    )


@data.get("/{experiment_id}")
def experiment_part(request: Request, experiment_id: str, rank: RankedBy = "") -> Response:
    return conditional_part(request, "experiment", **_values(request, experiment_id, rank))


def _values(request: Request, experiment_id: str, rank: str) -> dict[str, Any]:
    with transaction() as db:
        row = ExperimentStore(db).get(experiment_id)
        view = experiment_view(db, row, _known(row, rank))
    return {
        "view": detail(view),
        "facts": [*vary_lines(view.vary), *_matching(row)],
        "may_change": can_change(request),
    }


def _known(row: ExperimentRow, rank: str) -> str | None:
    return rank if rank in row.metrics else None


def _matching(row: ExperimentRow) -> list[tuple[str, str]]:
    if not row.matching:
        return []
    found = row.matching
    return [("parameters", f"{found['target']:,} ± {found['largest_deviation']:.1%}, matched")]


@data.get("/{experiment_id}/curves")
def experiment_curves(request: Request, experiment_id: str, metric: RankedBy = "") -> Response:
    with transaction() as db:
        row = ExperimentStore(db).get(experiment_id)
        return conditional(request, arms_view(db, row, metric))


@data.post("/{experiment_id}/cancel", status_code=204, dependencies=CHANGES)
def cancel_experiment(experiment_id: str) -> None:
    api.cancel(experiment_id)


@data.post("/{experiment_id}/seeds", response_class=HTMLResponse, dependencies=CHANGES)
def add_seeds(
    request: Request,
    experiment_id: str,
    seeds: Annotated[str, Form(max_length=2000)] = "",
    rank: Annotated[str, Form(max_length=200)] = "",
) -> HTMLResponse:
    """Train every arm with more seeds; answers the part of the page that shows them."""
    api.extend(experiment_id, _wanted(seeds))
    return HTMLResponse(part_text("experiment", **_values(request, experiment_id, rank)))


# The same request as programs make, with the cookie in the place of a key.
data.add_api_route("", create_experiment, methods=["POST"], status_code=201, dependencies=CHANGES)


def _wanted(text: str) -> SeedsSpec:
    try:
        return SeedsSpec.model_validate({"seeds": seeds_of(text)})
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InvalidSpec(f"Write seeds as 4, 5 or 4..8: {message}.", param="seeds") from error
