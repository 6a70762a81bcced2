"""Training jobs: submit, look, change, cancel, pause, resume, retry, delete."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from services.api.jobs_view import view_of, views_of
from services.api.parameters import Filter, PageOfJobs
from services.api.submit import act, dry_run, submit
from services.api.views import DryRunView, JobView, ListView, list_of
from services.http.errors import CONFLICT, NOT_FOUND, TOO_MANY
from services.http.idempotency import Idempotency
from shared.db.engine import transaction
from shared.db.jobs import JobFilter, JobStore
from shared.jobs.spec import JobChanges, JobSpec
from shared.jobs.states import JobStatus, Verb

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.post(
    "",
    status_code=201,
    response_model=JobView,
    responses={
        200: {"model": DryRunView, "description": "Dry run"},
        **NOT_FOUND,
        **CONFLICT,
        **TOO_MANY,
    },
)
async def create_job(
    spec: JobSpec,
    idempotency: Idempotency,
    dry_run: Annotated[bool, Query(description="resolve and estimate; queue nothing")] = False,
) -> JSONResponse:
    """Queue a training job; everything left open in the spec comes back resolved."""
    if dry_run:
        return await _look(spec)
    answer = await run_in_threadpool(submit, spec, idempotency)
    return JSONResponse(answer, 201)


@router.get("")
def list_jobs(
    request: Request,
    page: PageOfJobs,
    status: Annotated[list[JobStatus] | None, Query()] = None,
    dataset: Annotated[str | None, Query(max_length=200, description="name or id")] = None,
    cell: Filter = None,
    name_contains: Filter = None,
    experiment: Annotated[str | None, Query(max_length=200, description="id")] = None,
) -> ListView[JobView]:
    """Jobs, newest first; `metadata[key]=value` narrows the list too."""
    wanted = JobFilter(
        status=tuple(status or ()),
        dataset=dataset,
        cell=cell,
        name_contains=name_contains,
        metadata=_metadata_of(request),
        experiment=experiment,
    )
    with transaction() as db:
        found = JobStore(db).page(wanted, page.after, page.limit)
        views = views_of(db, found.rows)
    return list_of(views, "id", has_more=found.has_more)


@router.get("/{job_id}", responses=NOT_FOUND)
def show_job(job_id: str) -> JobView:
    with transaction() as db:
        return view_of(db, JobStore(db).get(job_id))


@router.patch("/{job_id}", responses=NOT_FOUND)
def change_job(job_id: str, changes: JobChanges) -> JobView:
    """Change priority, name or metadata; what is left out stays, and a waiting job moves at once."""
    with transaction() as db:
        return view_of(db, JobStore(db).change(job_id, changes))


@router.post("/{job_id}/cancel", responses={**NOT_FOUND, **CONFLICT})
def cancel_job(job_id: str) -> JobView:
    """Cancel what waits at once; a running job stops at its next step and keeps its checkpoint."""
    return act(job_id, Verb.CANCEL)


@router.post("/{job_id}/pause", responses={**NOT_FOUND, **CONFLICT})
def pause_job(job_id: str) -> JobView:
    """Save a running job and free its worker; a waiting job waits on until it is resumed."""
    return act(job_id, Verb.PAUSE)


@router.post("/{job_id}/resume", responses={**NOT_FOUND, **CONFLICT, **TOO_MANY})
def resume_job(job_id: str) -> JobView:
    """Queue a paused job again; it goes on exactly where it stopped."""
    return act(job_id, Verb.RESUME)


@router.post("/{job_id}/retry", responses={**NOT_FOUND, **CONFLICT, **TOO_MANY})
def retry_job(job_id: str) -> JobView:
    """Queue a failed or cancelled job again, from its last checkpoint and with all its attempts."""
    return act(job_id, Verb.RETRY)


@router.delete("/{job_id}", status_code=204, responses={**NOT_FOUND, **CONFLICT})
def delete_job(job_id: str) -> None:
    """Delete a job that has ended, with its curves and checkpoints; published models stay."""
    with transaction() as db:
        JobStore(db).delete(job_id)


async def _look(spec: JobSpec) -> JSONResponse:
    view = await run_in_threadpool(dry_run, spec)
    return JSONResponse(view.model_dump(mode="json"), 200)


def _metadata_of(request: Request) -> dict[str, str]:
    return {
        key[len("metadata[") : -1]: value
        for key, value in request.query_params.items()
        if key.startswith("metadata[") and key.endswith("]")
    }
