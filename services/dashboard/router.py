"""Everything a browser asks the dashboard for, as one router and one folder of files."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response
from starlette.types import Scope

from services.dashboard import (
    compare,
    datasets,
    experiments,
    inspect,
    login,
    models,
    newjob,
    pages,
    polling,
    workers,
)


class RevalidatedFiles(StaticFiles):
    """Files that a browser keeps but asks about, so that an upgrade shows at once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


router = APIRouter(include_in_schema=False)
# before /jobs/{job_id}, which would take /jobs/new
for part in (newjob, datasets, workers, compare, experiments, models, inspect):
    router.include_router(part.pages)
    router.include_router(part.data)
for part_of_jobs in (pages, login, polling):
    router.include_router(part_of_jobs.router)
static_files = RevalidatedFiles(directory=Path(__file__).parent / "static")
