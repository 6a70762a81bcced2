"""With what code and sentence commands end; commands that start processes; doctor."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from services.client.cli import run
from services.client.commands.output import HINTS
from shared.jobs import errors
from tests.servers import free_port
from tests.unit.client.conftest import Result
from tests.unit.client.stub import Answer, Stub, error, job_json, listing

Unroll = Callable[..., Result]
JOB = "/v1/jobs/job_1"


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 6), (401, 5), (403, 5), (404, 3), (409, 5), (413, 5), (422, 6), (500, 1), (418, 5)],
)
def test_a_refusal_ends_with_its_code_and_its_sentence(
    stub: Stub, unroll: Unroll, status: int, code: int
) -> None:
    stub.on("GET", JOB, error(status, "why", "Do [this] instead."))

    result = unroll("show", "job_1")

    assert (result.code, result.out) == (code, "")
    assert "Error: Do [this] instead." in result.err
    assert ("req_1" in result.err) == (status >= 500)
    assert ("UNROLL_API_KEY" in result.err) == (status == 401)


def test_what_a_program_should_ask_next_is_said_as_a_command(stub: Stub, unroll: Unroll) -> None:
    message = "There is no model 'a'. GET /v1/models lists what is published."
    stub.on("GET", "/v1/models/a", error(404, "not_found", message))

    shown = unroll("models", "show", "a").err

    assert shown == "Error: There is no model 'a'. `unroll models list` shows what is published.\n"


def test_the_messages_that_are_said_otherwise_are_those_of_the_service() -> None:
    said = [errors.DatasetNotFound("a"), errors.ModelNotFound("a"), errors.SessionNotFound("a")]

    assert [[hint for hint in HINTS if hint in str(each)] != [] for each in said] == [True] * 3


def test_a_service_that_stays_busy_is_one_that_cannot_be_reached(
    stub: Stub, unroll: Unroll
) -> None:
    headers = {"Retry-After": "0"}
    stub.on("GET", JOB, error(503, "unavailable", "Try again.", headers=headers))

    assert unroll("show", "job_1").code == 4
    stub.on("GET", JOB, error(429, "too_many_requests", "Slower.", headers=headers))
    assert unroll("show", "job_1").code == 5


def test_nobody_at_the_url_ends_with_its_own_code(unroll: Unroll) -> None:
    url = f"http://127.0.0.1:{free_port()}"

    result = unroll("jobs", "--api-url", url)

    assert result.code == 4
    assert url in result.err
    assert "unroll up" in result.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("jobs", "--limit", "0"),
        ("submit", "--cell", "lstm"),
        ("submit", "--epochs", "many"),
        ("jobs", "--metadata", "team"),
        ("jobs", "--api-url", "localhost"),
        ("jobs", "--timeout-s", "0"),
        ("predict",),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(unroll: Unroll, arguments: tuple[str, ...]) -> None:
    result = unroll(*arguments)

    assert (result.code, result.out) == (2, "")
    assert result.err != ""


def test_an_unknown_key_in_unroll_toml_is_a_usage_error(unroll: Unroll, tmp_path: Path) -> None:
    (tmp_path / "unroll.toml").write_text("colour = 1\n")

    result = unroll("jobs")

    assert result.code == 2
    assert "'colour'" in result.err


def test_stopping_where_nothing_runs_says_so(unroll: Unroll, tmp_path: Path) -> None:
    result = unroll("down", "--state-dir", str(tmp_path / "state"))

    assert result.code == 3
    assert "nothing runs on" in result.err


def test_starting_on_a_taken_port_names_the_option(
    stub: Stub, unroll: Unroll, tmp_path: Path
) -> None:
    port = str(stub.server.server_port)

    result = unroll("up", "--state-dir", str(tmp_path / "state"), "--port", port)

    assert result.code == 5
    assert f"port {port} on 127.0.0.1 is taken; choose another with --port" in result.err


@pytest.mark.parametrize(
    ("arguments", "module"),
    [
        (
            ("worker", "--concurrency", "2", "--device", "cpu"),
            ["workers", "--concurrency", "2", "--device", "cpu"],
        ),
        (("worker",), ["workers", "--device", "auto"]),
        (("api", "--port", "9"), ["services.api", "--host", "127.0.0.1", "--port", "9"]),
        (("inference",), ["services.inference", "--host", "127.0.0.1", "--port", "8001"]),
    ],
)
def test_a_service_replaces_the_process_that_was_asked_for_it(
    unroll: Unroll, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], module: list[str]
) -> None:
    became: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "execv", lambda program, command: became.append((program, command)))

    unroll(*arguments)

    assert became == [(sys.executable, [sys.executable, "-m", *module])]


def test_doctor_names_a_remedy_for_every_check_that_is_not_well(
    stub: Stub, unroll: Unroll, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {"status": "unavailable", "checks": {"database": "ok", "broker": "away"}}
    stub.on("GET", "/readyz", Answer(503, broken))
    stub.on("GET", "/v1/queue", error(401, "unauthorized", "Send a key."))
    monkeypatch.setenv("UNROLL_DATABASE_URL", f"postgresql://127.0.0.1:{free_port()}/x")
    monkeypatch.setenv("UNROLL_REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")

    result = unroll("doctor", "--json")

    checks = {check["name"]: check for check in json.loads(result.out)}
    assert result.code == 1
    failed = {name for name, check in checks.items() if check["status"] == "fail"}
    assert failed == {"postgres", "valkey", "api", "inference", "api key"}
    assert all(checks[name]["remedy"] for name in failed)
    assert checks["torch"]["status"] == "ok"
    assert "broker: away" in checks["api"]["message"]


def test_the_version_is_printed(unroll: Unroll) -> None:
    result = unroll("--version")

    assert (result.code, result.out.split()[0]) == (0, "unroll")


def test_the_module_is_the_command() -> None:
    command = [sys.executable, "-m", "services.client.cli", "--version"]

    assert subprocess.check_output(command, text=True).startswith("unroll ")


def test_a_reader_that_leaves_early_breaks_nothing(stub: Stub, tmp_path: Path) -> None:
    stub.on("GET", "/v1/jobs", listing(*[job_json(name="x" * 9_000)] * 100))
    command = [sys.executable, "-m", "services.client.cli", "jobs", "--api-url", stub.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()

        assert b"Traceback" not in process.stderr.read()


def test_a_fault_of_ours_is_not_hidden(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("services.client.commands.jobs.print_table", fail)
    stub.on("GET", "/v1/jobs", listing(job_json()))

    with pytest.raises(ZeroDivisionError):
        run(["jobs", "--api-url", stub.url])


def test_each_service_says_whose_port_it_takes(unroll: Unroll) -> None:
    shown = {name: unroll(name, "--help").out for name in ("api", "inference")}

    assert "Port of the API and dashboard" in " ".join(shown["api"].split())
    assert "Port of inference" in " ".join(shown["inference"].split())
