"""A local stack for the length of a command, or longer: found running, or started for it."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from services.client.commands.exits import Code, CommandError
from services.client.commands.output import note
from services.client.commands.processes import refusals, up_arguments
from services.client.config import ClientConfig
from services.embedded.ports import PortInUse, check_ports
from services.embedded.process import Child, ChildFailed, Ending, open_log
from services.embedded.record import read_record
from services.embedded.state import StateDirectory
from services.standalone import StandaloneOptions

READY_S = 300.0  # the supervisor itself gives up earlier
ENDING = Ending(orphaned=signal.SIGTERM, grace_s=90.0)  # a supervisor stops what it started


@dataclass(frozen=True)
class LocalStack:
    """A running stack, and whether it was there before us."""

    config: ClientConfig
    was_running: bool


class Detached(Child):
    """A child that outlives us."""

    def start(self) -> None:
        with open_log(self.log) as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                start_new_session=True,
            )


@contextmanager
def reuse_or_start(
    config: ClientConfig, *, port: int | None, inference_port: int | None, keep: bool
) -> Iterator[LocalStack]:
    """The stack of the state directory; one that we started is stopped again unless kept.

    Raises `CommandError` with the remedy when it cannot start.
    """
    found = running_config(config)
    if found is not None:
        note(f"Using the stack that runs on {config.state_dir}.")
        yield LocalStack(found, was_running=True)
        return
    options = _options(config, port, inference_port)
    child = _child(options, keep=keep)
    try:
        _start(child, config)
        found = running_config(config)
        assert found is not None, "ready means recorded"
        yield LocalStack(found, was_running=False)
    except BaseException:
        child.stop()
        raise
    if not keep:
        note("Stopping what was started (--keep leaves it running) ...")
        child.stop()


def running_config(config: ClientConfig) -> ClientConfig | None:
    """The configuration with the URLs of the stack that runs on the state directory."""
    record = read_record(config.state_dir)
    if record is None:
        return None
    urls = {"api_url": record.api_url, "inference_url": record.inference_url}
    return config.model_copy(update=urls)


def _options(
    config: ClientConfig, port: int | None, inference_port: int | None
) -> StandaloneOptions:
    wanted = {"--port": port, "--inference-port": inference_port}
    usual = StandaloneOptions(state_dir=config.state_dir)
    defaults = {"--port": usual.port, "--inference-port": usual.inference_port}
    try:
        StateDirectory(config.state_dir).refuse_if_held()
        ports = {name: wanted[name] or _free(name, default) for name, default in defaults.items()}
        check_ports(usual.host, ports)
    except refusals() as fault:
        raise CommandError(str(fault)) from fault
    return StandaloneOptions(
        state_dir=config.state_dir, port=ports["--port"], inference_port=ports["--inference-port"]
    )


def _free(option: str, port: int) -> int:
    """The usual port, or where that is taken, any free one."""
    host = StandaloneOptions.host
    try:
        check_ports(host, {option: port})
    except PortInUse:
        with socket.socket() as probe:
            probe.bind((host, 0))
            free: int = probe.getsockname()[1]
        note(f"Port {port} is taken; using {free} ({option} chooses another).")
        return free
    return port


def _child(options: StandaloneOptions, *, keep: bool) -> Child:
    kind = Detached if keep else Child
    log = options.state_dir / "logs" / "up.log"
    env: Mapping[str, str] = os.environ
    return kind("unroll up", up_arguments(options), log=log, env=env, ending=ENDING)


def _start(child: Child, config: ClientConfig) -> None:
    note("Starting Postgres, Valkey, API, dashboard, a worker and inference ...")
    child.start()
    try:
        child.wait_ready(lambda: running_config(config) is not None, READY_S)
    except ChildFailed as fault:
        raise CommandError(str(fault), Code.UNEXPECTED) from fault
