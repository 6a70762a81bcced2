"""Commands that look at jobs: list, show, watch."""

from datetime import datetime
from typing import Annotated, Any

import typer

from services.client.client import Job, UnrollClient
from services.client.commands import completion
from services.client.commands.completion import asked, words
from services.client.commands.exits import BY_JOB_STATUS
from services.client.commands.options import ExitStatus, Json, WaitS, pairs, with_config
from services.client.commands.output import (
    age,
    cell_text,
    duration,
    note,
    print_fields,
    print_json,
    print_table,
)
from services.client.commands.watching import follow, metric_texts, watcher_for
from services.client.config import ClientConfig
from shared.jobs.states import JobStatus


def job_argument(*statuses: str) -> Any:
    """The id of a job; a shell offers those with one of the statuses."""
    complete = asked(completion.jobs(*statuses))
    return typer.Argument(metavar="JOB", help="Id of a job.", autocompletion=complete)


JobId = Annotated[str, job_argument()]
COLUMNS = ("ID", "NAME", "STATUS", "CELL", "DONE", "LOSS", "AGE")


@with_config
def jobs(
    config: ClientConfig,
    status: Annotated[
        list[str] | None,
        typer.Option(help="Only these; may be repeated.", autocompletion=words(*JobStatus)),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="Only of this dataset.", autocompletion=asked(completion.datasets)),
    ] = None,
    cell: Annotated[
        str | None,
        typer.Option(help="Only with this cell.", autocompletion=asked(completion.cells)),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Only with this in the name.")] = None,
    metadata: Annotated[list[str] | None, typer.Option(help="Only with key=value.")] = None,
    experiment: Annotated[
        str | None,
        typer.Option(help="Only of this experiment.", autocompletion=asked(completion.experiments)),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many at most.")] = 20,
    all_: Annotated[bool, typer.Option("--all", help="Every one, page after page.")] = False,
    as_json: Json = False,
) -> None:
    """List jobs, newest first."""
    filters: dict[str, Any] = {"status": status or (), "dataset": dataset, "cell": cell}
    filters |= {"name_contains": name, "metadata": pairs(metadata or (), "--metadata")}
    filters |= {"experiment": experiment}
    with UnrollClient(config=config) as client:
        if all_:
            found = list(client.jobs(**filters))
            document = list_document([job.raw for job in found])
        else:
            page = client.jobs_page(**filters, limit=limit)
            found, document = page.data, page.raw
    if as_json:
        print_json(document)
        return
    print_table(COLUMNS, (_row(job) for job in found))
    if document["has_more"]:
        note("There are more: --all lists every one.")


@with_config
def show(
    config: ClientConfig, job_id: JobId, exit_status: ExitStatus = False, as_json: Json = False
) -> None:
    """Show one job: status, progress, metrics, attempts, error, model."""
    with UnrollClient(config=config) as client:
        job = client.job(job_id)
    if as_json:
        print_json(job.raw)
    else:
        print_fields(summary(job, config))
    if exit_status:
        exit_as(job)


@with_config
def watch(
    config: ClientConfig,
    job_id: JobId,
    wait_s: WaitS = None,
    exit_status: ExitStatus = False,
    as_json: Json = False,
) -> None:
    """Follow a job to its end: a progress bar, or one line an event in a pipe."""
    with UnrollClient(config=config) as client:
        client.job(job_id)
        watch_job(client, job_id, wait_s=wait_s, exit_status=exit_status, as_json=as_json)


def watch_job(
    client: UnrollClient, job_id: str, *, wait_s: float | None, exit_status: bool, as_json: bool
) -> None:
    """Follow a job, say how it ended, and exit by its status if asked."""
    watcher = watcher_for(as_json=as_json)
    try:
        job = follow(client, job_id, watcher, wait_s=wait_s)
    except KeyboardInterrupt:
        note(f"The job goes on; `unroll cancel {job_id}` ends it.")
        raise
    if not as_json:
        print_fields(ending(job))
        if job.model:
            note(f"Ask it with `unroll predict {job.model.name} INPUT`.")
    if exit_status:
        exit_as(job)


def exit_as(job: Job) -> None:
    """Exit by the status of a job that ended badly."""
    if job.status in BY_JOB_STATUS:
        raise typer.Exit(BY_JOB_STATUS[job.status])


def ending(job: Job) -> dict[str, object]:
    """What is worth knowing of a job that has just ended."""
    best = job.best and f"{job.best.metric} {cell_text(job.best.value)} at step {job.best.step}"
    tests = {name: value for name, value in job.latest.items() if name.startswith("test/")}
    return {
        "id": job.id,
        "status": job.status,
        "error": job.error and f"{job.error.code}: {job.error.message}",
        "best": best,
        **tests,
        "model": job.model and f"{job.model.name} version {job.model.version}",
    }


def summary(job: Job, config: ClientConfig) -> dict[str, object]:
    """Everything a person asks about a job, by name."""
    network = job.spec.get("network", {})
    progress = job.progress
    last = job.attempts[-1] if job.attempts else None
    return {
        **ending(job),
        "name": job.name,
        "reason": job.status_reason,
        "queue position": job.queue_position,
        "starts in": None if job.starts_in_s is None else duration(job.starts_in_s),
        "dataset": job.spec.get("dataset"),
        "mapping": job.spec.get("mapping"),
        "network": _network_text(network),
        "progress": f"{progress.fraction:.0%}, step {progress.step} of {progress.total_steps}",
        "to go": None if job.is_final or progress.eta_s is None else duration(progress.eta_s),
        "metrics": ", ".join(metric_texts(job)) or None,
        "created": job.created_at,
        "took": _took(job.started_at, job.finished_at),
        "attempt": last and f"{last.number} on {last.worker} ({last.device})",
        "weights sha256": job.weights_sha256,
        "dashboard": dashboard_url(job, config),
    }


def dashboard_url(job: Job, config: ClientConfig) -> str:
    return f"{config.api_url}{job.urls.get('dashboard', '')}"


def list_document(items: list[dict[str, Any]]) -> dict[str, Any]:
    """All pages of a list as one, in the form of one page."""
    ids = [item.get("id", item.get("name")) for item in items]
    first, last = (ids[0], ids[-1]) if ids else (None, None)
    return {"object": "list", "data": items, "first_id": first, "last_id": last, "has_more": False}


def _row(job: Job) -> tuple[object, ...]:
    cell = job.spec["network"]["cell"]["type"]
    loss = job.latest.get("val/loss", job.latest.get("train/loss"))
    fraction = f"{job.progress.fraction:.0%}"
    return (job.id, job.name, job.status, cell, fraction, loss, age(job.created_at))


def _network_text(network: dict[str, Any]) -> str:
    both = ", both directions" if network.get("bidirectional") else ""
    cell, layers = network.get("cell", {}).get("type"), network.get("num_layers")
    return f"{cell}, {layers} × {network.get('hidden_size')} units{both}"


def _took(started_at: datetime | None, finished_at: datetime | None) -> str | None:
    if started_at is None or finished_at is None:
        return None
    return duration((finished_at - started_at).total_seconds())
