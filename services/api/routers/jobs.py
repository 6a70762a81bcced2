"""Training jobs: submit, look, cancel, delete."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from services.api.jobs_view import view_of, views_of
from services.api.parameters import Filter, Idempotency, PageOfJobs
from services.api.submit import dry_run, submit
from services.api.views import DryRunView, JobView, ListView, list_of
from services.http.errors import CONFLICT, NOT_FOUND
from shared.db.engine import transaction
from shared.db.jobs import JobFilter, JobStore
from shared.jobs.spec import JobSpec
from shared.jobs.states import JobStatus

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.post(
    "",
    status_code=201,
    response_model=JobView,
    responses={200: {"model": DryRunView, "description": "Dry run"}, **NOT_FOUND, **CONFLICT},
)
async def create_job(
    spec: JobSpec,
    idempotency: Idempotency,
    dry_run: Annotated[bool, Query(description="resolve and estimate; queue nothing")] = False,
) -> JSONResponse:
    """Queue a training job; everything left open in the spec comes back resolved."""
    return await _create(spec, None if dry_run else idempotency, only_look=dry_run)


@router.get("")
def list_jobs(
    request: Request,
    page: PageOfJobs,
    status: Annotated[list[JobStatus] | None, Query()] = None,
    dataset: Annotated[str | None, Query(max_length=200, description="name or id")] = None,
    cell: Filter = None,
    name_contains: Filter = None,
) -> ListView[JobView]:
    """Jobs, newest first; `metadata[key]=value` narrows the list too."""
    wanted = JobFilter(
        status=tuple(status or ()),
        dataset=dataset,
        cell=cell,
        name_contains=name_contains,
        metadata=_metadata_of(request),
    )
    with transaction() as db:
        found = JobStore(db).page(wanted, page.after, page.limit)
        views = views_of(db, found.rows)
    return list_of(views, "id", has_more=found.has_more)


@router.get("/{job_id}", responses=NOT_FOUND)
def show_job(job_id: str) -> JobView:
    with transaction() as db:
        return view_of(db, JobStore(db).get(job_id))


@router.post("/{job_id}/cancel", responses={**NOT_FOUND, **CONFLICT})
def cancel_job(job_id: str) -> JobView:
    """Cancel what waits at once; a running job stops at its next step and keeps its checkpoint."""
    with transaction() as db:
        return view_of(db, JobStore(db).cancel(job_id))


@router.delete("/{job_id}", status_code=204, responses={**NOT_FOUND, **CONFLICT})
def delete_job(job_id: str) -> None:
    """Delete a job that has ended, with its curves and checkpoints; published models stay."""
    with transaction() as db:
        JobStore(db).delete(job_id)


async def _create(
    spec: JobSpec, idempotency: dict[str, str] | None, *, only_look: bool
) -> JSONResponse:
    if only_look:
        view = await run_in_threadpool(dry_run, spec)
        return JSONResponse(view.model_dump(mode="json"), 200)
    answer: dict[str, Any] = await run_in_threadpool(submit, spec, idempotency)
    return JSONResponse(answer, 201)


def _metadata_of(request: Request) -> dict[str, str]:
    return {
        key[len("metadata[") : -1]: value
        for key, value in request.query_params.items()
        if key.startswith("metadata[") and key.endswith("]")
    }
