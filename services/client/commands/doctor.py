"""Whether this machine can run unroll: one line a check, each with its remedy; changes nothing."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import typer

from services.client.client import ApiError, UnrollClient, UnrollError
from services.client.commands.exits import Code
from services.client.commands.options import Json, with_config
from services.client.commands.output import num_bytes, print_json, print_table
from services.client.config import ClientConfig

OLDEST_PYTHON = (3, 11)
LITTLE_DISK_BYTES, TOO_LITTLE_DISK_BYTES = 2 * 10**9, 3 * 10**8
PORTS = {"--port": 8000, "--inference-port": 8001}
TORCH_S, PROGRAM_S = 120.0, 20.0
ASK_TORCH = """
import json, torch
cuda = torch.cuda.is_available()
device = torch.cuda.get_device_name(0) if cuda else f"CPU, {torch.get_num_threads()} threads"
print(json.dumps({"version": torch.__version__, "device": device}))
"""


@dataclass(frozen=True)
class Check:
    """What was looked at, how it is, and what to do where it is not well."""

    name: str
    status: Literal["ok", "warn", "fail"]
    message: str
    remedy: str | None = None


@with_config
def doctor(config: ClientConfig, as_json: Json = False) -> None:
    """Check Python, torch, servers, disk, ports and the running service."""
    checks = [check(config) for check in CHECKS]
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        rows = ((c.status, c.name, c.message, c.remedy or "") for c in checks)
        print_table(("STATUS", "CHECK", "FOUND", "REMEDY"), rows, is_whole=True)
    if any(check.status == "fail" for check in checks):
        raise typer.Exit(Code.UNEXPECTED)


def python_version(config: ClientConfig) -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Check("python", "fail", found, "install Python 3.11 or newer, then `make install`")
    return Check("python", "ok", found)


def torch_works(config: ClientConfig) -> Check:
    """Asked in a process of its own: a broken torch may take its process with it."""
    try:
        answer = _output_of([sys.executable, "-c", ASK_TORCH], TORCH_S)
    except Broken as fault:
        return Check("torch", "fail", str(fault), "run `make install`, which installs it")
    found = json.loads(answer)
    return Check("torch", "ok", f"{found['version']} on {found['device']}")


def postgres(config: ClientConfig) -> Check:
    from shared.config import get_settings

    if "database_url" not in get_settings().model_fields_set:
        return _program("postgres", "UNROLL_DATABASE_URL", _postgres_program)
    try:
        _ask_database(get_settings().database_url.get_secret_value())
    except Broken as fault:
        return Check("postgres", "fail", str(fault), "start it, or mend UNROLL_DATABASE_URL")
    return Check("postgres", "ok", "the server at UNROLL_DATABASE_URL answers")


def valkey(config: ClientConfig) -> Check:
    from shared.config import get_settings

    if "redis_url" not in get_settings().model_fields_set:
        return _program("valkey", "UNROLL_REDIS_URL", _valkey_program)
    try:
        _ask_broker(get_settings().redis_url.get_secret_value())
    except Broken as fault:
        return Check("valkey", "fail", str(fault), "start it, or mend UNROLL_REDIS_URL")
    return Check("valkey", "ok", "the server at UNROLL_REDIS_URL answers")


def account(config: ClientConfig) -> Check:
    from services.embedded.accounts import NoServerAccount
    from services.embedded.state import StateDirectory

    try:
        found = StateDirectory(config.state_dir).account()
    except NoServerAccount as fault:
        return Check("account", "fail", str(fault), "`useradd --system postgres`")
    whose = "this user" if found.is_ours else f"user id {found.uid}, as root may not"
    return Check("account", "ok", f"servers run as {whose}")


def state_directory(config: ClientConfig) -> Check:
    folder = config.state_dir
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    elsewhere = "choose another with --state-dir"
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        return Check("state directory", "fail", f"cannot write to {existing}", elsewhere)
    free = shutil.disk_usage(existing).free
    message = f"{folder}, {num_bytes(free)} free"
    if free < TOO_LITTLE_DISK_BYTES:
        return Check("state directory", "fail", message, f"free some space, or {elsewhere}")
    if free < LITTLE_DISK_BYTES:
        return Check("state directory", "warn", message, "checkpoints and uploads need space")
    return Check("state directory", "ok", message)


def ports(config: ClientConfig) -> Check:
    from services.embedded.ports import PortInUse, check_ports
    from services.embedded.record import read_record

    running = read_record(config.state_dir)
    if running is not None:
        return Check("ports", "ok", f"{running.ports} are used by the stack that runs here")
    try:
        check_ports("127.0.0.1", PORTS)
    except PortInUse as fault:
        return Check("ports", "warn", str(fault).split(";")[0], "`unroll up` with that option")
    return Check("ports", "ok", f"{', '.join(map(str, PORTS.values()))} are free")


def api_service(config: ClientConfig) -> Check:
    return _service(config, "api", config.api_url)


def inference_service(config: ClientConfig) -> Check:
    return _service(config, "inference", config.inference_url)


def api_key(config: ClientConfig) -> Check:
    """A service that answers at all must also let us in."""
    try:
        with UnrollClient(config=config, max_retries=0) as client:
            client.queue()
    except ApiError as fault:
        return Check("api key", "fail", str(fault), "set UNROLL_API_KEY to a key of the service")
    except UnrollError:
        return Check("api key", "ok", "not needed: no service answers")
    return Check("api key", "ok", "accepted")


CHECKS: tuple[Callable[[ClientConfig], Check], ...] = (
    *(python_version, torch_works, postgres, valkey, account, state_directory, ports),
    *(api_service, inference_service, api_key),
)


class Broken(Exception):
    """What was asked did not answer as it should; the message is its last line."""


def _service(config: ClientConfig, name: Literal["api", "inference"], url: str) -> Check:
    try:
        with UnrollClient(config=config, max_retries=0) as client:
            found = client.readiness(name)
    except UnrollError as fault:
        reason = str(fault).split(". ")[0]
        return Check(name, "warn", reason, "`unroll up`, or name its URL (see `unroll doctor -h`)")
    if found.status == "ok":
        return Check(name, "ok", f"ready at {url}")
    bad = ", ".join(f"{part}: {text}" for part, text in found.checks.items() if text != "ok")
    return Check(name, "fail", f"not ready at {url}: {bad}", "see its log")


def _program(name: str, setting: str, find: Callable[[], Path]) -> Check:
    from services.embedded.binaries import ServerNotInstalled

    remedy = f"run `make install`, or set {setting} to a server of your own"
    try:
        answer = _output_of([str(find()), "--version"], PROGRAM_S)
    except (ServerNotInstalled, Broken) as fault:
        return Check(name, "fail", str(fault), remedy)
    return Check(name, "ok", answer.splitlines()[0])


def _postgres_program() -> Path:
    from services.embedded.accounts import Account
    from services.embedded.binaries import postgres_programs

    return postgres_programs(Account(os.geteuid(), os.getegid())) / "postgres"


def _valkey_program() -> Path:
    from services.embedded.accounts import Account
    from services.embedded.binaries import valkey_server

    return valkey_server(Account(os.geteuid(), os.getegid()))


def _ask_database(url: str) -> None:
    import psycopg

    try:
        psycopg.connect(url.replace("+psycopg", "", 1), connect_timeout=5).close()
    except psycopg.Error as fault:
        raise Broken(_last_line(str(fault))) from fault


def _ask_broker(url: str) -> None:
    import redis

    try:
        with redis.Redis.from_url(url, socket_connect_timeout=5) as server:
            server.ping()
    except (redis.RedisError, ValueError) as fault:
        raise Broken(_last_line(str(fault))) from fault


def _output_of(command: list[str], timeout_s: float) -> str:
    """What a program writes; raises `Broken` when it fails or stays silent."""
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=timeout_s
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise Broken(str(fault)) from fault
    if done.returncode != 0:
        raise Broken(_last_line(done.stderr) or f"ended with exit code {done.returncode}")
    return done.stdout.strip()


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""
