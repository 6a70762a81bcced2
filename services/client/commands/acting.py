"""Commands that change a job that exists: cancel, pause, resume, retry, set, rm."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from services.client.client import Job, UnrollClient
from services.client.commands.exits import Code, CommandError
from services.client.commands.jobs import JobId, job_argument
from services.client.commands.options import Json, pairs, with_config
from services.client.commands.output import note, print_fields, print_json
from services.client.config import ClientConfig
from shared.jobs.states import FINAL, MOVES, Verb


@with_config
def cancel(
    config: ClientConfig,
    job_id: Annotated[str, job_argument(*MOVES[Verb.CANCEL])],
    as_json: Json = False,
) -> None:
    """Cancel a job; it keeps its last checkpoint."""
    _do(config, lambda client: client.cancel(job_id), as_json=as_json)


@with_config
def pause(
    config: ClientConfig,
    job_id: Annotated[str, job_argument(*MOVES[Verb.PAUSE])],
    as_json: Json = False,
) -> None:
    """Save a job and free its worker, until it is resumed."""
    _do(config, lambda client: client.pause(job_id), as_json=as_json)


@with_config
def resume(
    config: ClientConfig,
    job_id: Annotated[str, job_argument(*MOVES[Verb.RESUME])],
    as_json: Json = False,
) -> None:
    """Let a paused job go on exactly where it stopped."""
    _do(config, lambda client: client.resume(job_id), as_json=as_json)


@with_config
def retry(
    config: ClientConfig,
    job_id: Annotated[str, job_argument(*MOVES[Verb.RETRY])],
    as_json: Json = False,
) -> None:
    """Try a failed or cancelled job again, from its last checkpoint."""
    _do(config, lambda client: client.retry(job_id), as_json=as_json)


@with_config
def set_(
    config: ClientConfig,
    job_id: JobId,
    priority: Annotated[int | None, typer.Option(help="0 to 9; higher is sooner.")] = None,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(help="key=value, in place of all there is; may be repeated."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Change a job's priority, name or metadata."""
    wanted = {"priority": priority, "name": name, "metadata": metadata}
    changes: dict[str, Any] = {key: value for key, value in wanted.items() if value is not None}
    if not changes:
        raise CommandError("give --priority, --name or --metadata", Code.USAGE)
    if metadata:
        changes["metadata"] = pairs(metadata, "--metadata")
    _do(config, lambda client: client.change_job(job_id, **changes), as_json=as_json)


@with_config
def rm(
    config: ClientConfig,
    job_ids: Annotated[list[str], job_argument(*sorted(FINAL))],
) -> None:
    """Delete jobs that have ended, with their curves and checkpoints; published models stay."""
    with UnrollClient(config=config) as client:
        for job_id in job_ids:
            client.delete_job(job_id)
            note(f"{job_id} is deleted.")


def _do(config: ClientConfig, ask: Callable[[UnrollClient], Job], *, as_json: bool) -> None:
    with UnrollClient(config=config) as client:
        job = ask(client)
    if as_json:
        print_json(job.raw)
    else:
        shown = {"id": job.id, "status": job.status, "queue position": job.queue_position}
        print_fields(shown)
