"""Commands that start or stop processes of this machine; each imports what it needs when called."""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from services.client.commands.exits import Code, CommandError
from services.client.commands.options import with_state_dir
from services.client.commands.output import line, note
from services.client.config import ClientConfig

if TYPE_CHECKING:
    from services.standalone import Standalone, StandaloneOptions

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=1, max=65_535, help="Port of the API and dashboard.")]
InferencePort = Annotated[int, typer.Option(min=1, max=65_535, help="Port of inference.")]
Concurrency = Annotated[
    int | None,
    typer.Option(min=1, max=64, help="Jobs trained at a time.", show_default="one a GPU, else 1"),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, or a list as cuda:0,cuda:1.")]
LOOPBACK, API_PORT, INFERENCE_PORT = "127.0.0.1", 8000, 8001


@with_state_dir
def up(
    config: ClientConfig,
    host: Host = LOOPBACK,
    port: Port = API_PORT,
    inference_port: InferencePort = INFERENCE_PORT,
    workers: Annotated[int, typer.Option(min=0, max=64, help="Workers to start.")] = 1,
    concurrency: Concurrency = None,
    device: Device = "auto",
) -> None:
    """Start Postgres, Valkey, API, dashboard, inference and workers; Ctrl-C stops them."""
    from services.standalone import Standalone, StandaloneOptions

    options = StandaloneOptions(
        state_dir=config.state_dir,
        host=host,
        port=port,
        inference_port=inference_port,
        workers=workers,
        concurrency=concurrency,
        device=device,
    )
    run_stack(Standalone(options))


@with_state_dir
def down(config: ClientConfig) -> None:
    """Stop what `unroll up` started on the same state directory."""
    stop_stack(config.state_dir)
    note(f"Stopped what ran on {config.state_dir}.")


def migrate() -> None:
    """Bring the database at UNROLL_DATABASE_URL up to date; safe to repeat."""
    from services.migrate import migrate as bring_up_to_date

    configure_logs()
    bring_up_to_date()
    note("The database is up to date.")


def worker(concurrency: Concurrency = None, device: Device = "auto") -> None:
    """Train jobs from the queue until stopped; a job in training is then handed back."""
    from services.standalone import worker_arguments

    _become(["workers", *worker_arguments(concurrency, device)])


def api(host: Host = LOOPBACK, port: Port = API_PORT) -> None:
    """Serve the API and the dashboard until stopped."""
    _become(["services.api", "--host", host, "--port", str(port)])


def inference(host: Host = LOOPBACK, port: InferencePort = INFERENCE_PORT) -> None:
    """Serve trained networks until stopped."""
    _become(["services.inference", "--host", host, "--port", str(port)])


def run_stack(stack: "Standalone") -> None:
    """Run until a signal; raises `CommandError` with the remedy when it cannot."""
    configure_logs()
    note("Starting; the first time takes a little longer ...")
    try:
        stack.run(on_ready=show_urls)
    except refusals() as fault:
        raise CommandError(str(fault), Code.REFUSED) from fault
    except RuntimeError as fault:
        raise CommandError(str(fault), Code.UNEXPECTED) from fault
    note("Stopped.")


def stop_stack(state_dir: Path) -> None:
    """Raises `CommandError` when nothing runs there, or it does not end."""
    from services.standalone import NothingRunning, down

    try:
        down(state_dir)
    except NothingRunning as fault:
        raise CommandError(str(fault), Code.NOT_FOUND) from fault
    except PermissionError as fault:
        raise CommandError(f"the stack on {state_dir} belongs to someone else") from fault
    except RuntimeError as fault:
        raise CommandError(str(fault), Code.TIMED_OUT) from fault


def show_urls(stack: "Standalone") -> None:
    line(f"API and dashboard  {stack.api_url}")
    line(f"API documents      {stack.api_url}/docs")
    line(f"Inference          {stack.inference_url}")
    note("Ctrl-C stops everything.")


def refusals() -> tuple[type[RuntimeError], ...]:
    """What a person has to change before a stack can start."""
    from services.embedded.accounts import NoServerAccount
    from services.embedded.binaries import ServerNotInstalled
    from services.embedded.ports import AddressUnusable, PortInUse
    from services.embedded.state import StateDirectoryInUse, StateDirectoryUnusable

    state = (StateDirectoryInUse, StateDirectoryUnusable)
    return (AddressUnusable, NoServerAccount, PortInUse, ServerNotInstalled, *state)


def configure_logs() -> None:
    """Our own log goes to stderr: for people at a terminal, else as the operator chose."""
    from shared.config import get_settings
    from shared.logging import configure_logging

    settings = get_settings()
    configure_logging(settings.log_level, as_json=settings.log_json and not sys.stderr.isatty())
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of each look at /readyz


def up_arguments(options: "StandaloneOptions") -> list[str]:
    """The command line that runs `options` as a process of its own."""
    from services.standalone import worker_arguments

    command = [sys.executable, "-m", "services.client.cli", "up"]
    where = ["--state-dir", str(options.state_dir), "--host", options.host]
    ports = ["--port", str(options.port), "--inference-port", str(options.inference_port)]
    workers = ["--workers", str(options.workers)]
    training = worker_arguments(options.concurrency, options.device)
    return [*command, *where, *ports, *workers, *training]


def _become(module: Sequence[str]) -> NoReturn:
    """Replace this process, so that signals reach the service itself."""
    os.execv(sys.executable, [sys.executable, "-m", *module])  # noqa: S606 -- no shell is wanted
