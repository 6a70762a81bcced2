"""The command that makes a job."""

from typing import Annotated, Any

import typer

from services.client.client import UnrollClient
from services.client.commands.exits import Code, CommandError
from services.client.commands.jobs import dashboard_url, watch_job
from services.client.commands.options import ExitStatus, Json, WaitS, with_config
from services.client.commands.output import (
    duration,
    line,
    note,
    num_bytes,
    print_fields,
    print_json,
)
from services.client.commands.spec import with_spec
from services.client.config import ClientConfig


@with_config
@with_spec
def submit(
    config: ClientConfig,
    spec: dict[str, Any],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only resolve and estimate.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the job to its end.")] = False,
    wait_s: WaitS = None,
    exit_status: ExitStatus = False,
    as_json: Json = False,
) -> None:
    """Queue a training job and print its id; needs a dataset and a cell."""
    if dry_run and watch:
        raise CommandError("--dry-run queues nothing that --watch could follow", Code.USAGE)
    with UnrollClient(config=config) as client:
        if dry_run:
            _show_dry_run(client, spec, as_json=as_json)
            return
        job = client.submit(spec)
        if as_json:
            print_json(job.raw, one_line=watch)
        else:
            line(job.id)
            note(f"{job.name} is {job.status}: {dashboard_url(job, config)}")
        if watch:
            watch_job(client, job.id, wait_s=wait_s, exit_status=exit_status, as_json=as_json)
        elif not as_json:
            note(f"Follow it with `unroll watch {job.id}`.")


def _show_dry_run(client: UnrollClient, spec: dict[str, Any], *, as_json: bool) -> None:
    plan = client.dry_run(spec)
    if as_json:
        print_json(plan.raw)
        return
    print_fields(
        {
            "parameters": plan.num_parameters,
            "steps": plan.steps,
            "memory": num_bytes(plan.estimated_memory_bytes),
            "duration": duration(plan.estimated_duration_s),
            "duration basis": plan.raw.get("duration_basis"),
            "spec": plan.spec,
        }
    )
