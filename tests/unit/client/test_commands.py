"""The commands against a stub: what they print where, and with what code they end."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.client.cli import run
from services.client.commands import predict as predicting
from tests.servers import free_port
from tests.unit.client.conftest import Result
from tests.unit.client.stub import (
    Answer,
    Stub,
    dataset_json,
    error,
    event_stream,
    job_json,
    listing,
    model_json,
)

Unroll = Callable[..., Result]
JOB = "/v1/jobs/job_1"
SUBMIT = ("submit", "--dataset", "surnames", "--cell", "lstm")
EVENTS = (
    ("evt_1", "status", {"status": "queued"}),
    ("evt_2", "metric", {"step": 4, "values": {"train/loss": 0.5, "train/lr": 0.1}}),
    ("evt_3", "metric", {"step": 4, "values": {"val/loss": 0.25}}),
    ("evt_4", "status", {"status": "succeeded", "reason": None}),
)
PREDICT = "/v1/models/names/predict"
LABEL = {"label": "it_IT", "probabilities": {"it_IT": 0.75, "es_ES": 0.25}}


def prediction(*outputs: object) -> dict[str, object]:
    return {"model": "names", "version": 2, "outputs": list(outputs)}


def ending(stub: Stub, status: str, **changes: Any) -> None:
    """The job ends with `status`, its stream with the event that says so."""
    final = ("evt_9", "status", {"status": status})
    stub.on("GET", f"{JOB}/events/stream", event_stream(*EVENTS[:3], final))
    stub.on("GET", JOB, job_json(status, **changes))


def test_submit_prints_the_id_alone_and_the_rest_as_notes(stub: Stub, unroll: Unroll) -> None:
    stub.on("POST", "/v1/jobs", Answer(201, job_json()))

    result = unroll(*SUBMIT, "--epochs", "3", "--bidirectional", "--metadata", "a=b")

    assert (result.code, result.out) == (0, "job_1\n")
    assert f"{stub.url}/jobs/job_1" in result.err
    assert stub.requests[0].json == {
        "dataset": "surnames",
        "network": {"cell": {"type": "lstm"}, "bidirectional": True},
        "training": {"epochs": 3},
        "metadata": {"a": "b"},
    }


def test_json_is_what_the_service_said_and_nothing_else(stub: Stub, unroll: Unroll) -> None:
    stub.on("POST", "/v1/jobs", Answer(201, job_json()))

    result = unroll(*SUBMIT, "--json")

    assert json.loads(result.out) == job_json()


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (("jobs",), "/v1/jobs", listing(job_json("failed"), has_more=True)),
        (("show", "job_1"), JOB, job_json("running")),
        (("datasets", "show", "a"), "/v1/datasets/a", dataset_json("a")),
        (("datasets", "list"), "/v1/datasets", listing(dataset_json())),
        (("models", "list"), "/v1/models", listing(model_json())),
        (("models", "show", "names"), "/v1/models/names", model_json()),
    ],
)
def test_every_command_that_prints_data_has_its_json(
    stub: Stub, unroll: Unroll, arguments: tuple[str, ...], path: str, body: dict[str, object]
) -> None:
    stub.on("GET", path, body)

    plain, as_json = unroll(*arguments), unroll(*arguments, "--json")

    assert (plain.code, as_json.code) == (0, 0)
    assert json.loads(as_json.out) == body
    assert plain.out != as_json.out


def test_a_list_in_a_pipe_is_tab_separated_and_uncut(stub: Stub, unroll: Unroll) -> None:
    name = "a name of more than sixty characters, with\ta tab and\na line break in it"
    stub.on("GET", "/v1/jobs", listing(job_json("running", name=name, latest={"val/loss": 0.5})))

    header, row = unroll("jobs").out.splitlines()

    assert header.split("\t")[:3] == ["ID", "NAME", "STATUS"]
    assert row.split("\t")[:6] == [
        *("job_1", " ".join(name.split()), "running", "lstm"),
        *("0%", "0.5"),
    ]


def test_filters_travel_and_all_follows_every_page(stub: Stub, unroll: Unroll) -> None:
    first = listing(job_json(job_id="job_2"), has_more=True)
    stub.on("GET", "/v1/jobs", first, listing(job_json(job_id="job_1")))
    filters = ("--status", "queued", "--status", "running", "--cell", "gru", "--dataset", "d")

    result = unroll("jobs", "--all", "--json", *filters, "--name", "x", "--metadata", "team=a")

    document = json.loads(result.out)
    assert [job["id"] for job in document["data"]] == ["job_2", "job_1"]
    assert (document["first_id"], document["last_id"]) == ("job_2", "job_1")
    assert document["has_more"] is False
    assert stub.requests[0].query == {
        "status": ["queued", "running"],
        "dataset": ["d"],
        "cell": ["gru"],
        "name_contains": ["x"],
        "metadata[team]": ["a"],
        "limit": ["100"],
    }


def test_a_cut_list_says_that_there_is_more(stub: Stub, unroll: Unroll) -> None:
    stub.on("GET", "/v1/jobs", listing(job_json(), has_more=True))

    assert "--all" in unroll("jobs").err


def test_show_tells_why_a_job_failed(stub: Stub, unroll: Unroll) -> None:
    fault = {"code": "loss_not_finite", "class": "user", "message": "Lower the learning rate."}
    stub.on("GET", JOB, job_json("failed", error=fault))

    result = unroll("show", "job_1")

    assert result.code == 0
    assert "error\tloss_not_finite: Lower the learning rate." in result.out


def test_watch_in_a_pipe_is_one_line_an_event_then_the_end(stub: Stub, unroll: Unroll) -> None:
    model = {"name": "names", "version": 3}
    best = {"metric": "val/loss", "value": 0.25, "step": 4}
    ending(stub, "succeeded", model=model, best=best, latest={"test/accuracy": 0.5})

    result = unroll("watch", "job_1")

    assert result.code == 0
    assert result.out.splitlines() == [
        "queued",
        "evaluation  step 4  val/loss 0.25",
        "succeeded",
        "id\tjob_1",
        "status\tsucceeded",
        "best\tval/loss 0.25 at step 4",
        "test/accuracy\t0.5",
        "model\tnames version 3",
    ]


def test_watch_with_json_is_one_document_an_event(stub: Stub, unroll: Unroll) -> None:
    ending(stub, "succeeded")

    lines = [json.loads(text) for text in unroll("watch", "job_1", "--json").out.splitlines()]

    assert [(line["id"], line["type"]) for line in lines] == [
        *(("evt_1", "status"), ("evt_2", "metric")),
        *(("evt_3", "metric"), ("evt_9", "status")),
    ]
    assert lines[1]["data"]["values"] == {"train/loss": 0.5, "train/lr": 0.1}


@pytest.mark.parametrize(("status", "code"), [("succeeded", 0), ("failed", 10), ("cancelled", 11)])
def test_exit_status_tells_how_the_job_ended(
    stub: Stub, unroll: Unroll, status: str, code: int
) -> None:
    ending(stub, status)
    stub.on("POST", "/v1/jobs", Answer(201, job_json()))

    assert unroll("watch", "job_1").code == 0
    assert unroll("watch", "job_1", "--exit-status").code == code
    assert unroll("show", "job_1", "--exit-status").code == code
    assert unroll(*SUBMIT, "--watch", "--exit-status").code == code


def test_submit_and_watch_with_json_is_the_job_then_its_events(stub: Stub, unroll: Unroll) -> None:
    ending(stub, "succeeded")
    stub.on("POST", "/v1/jobs", Answer(201, job_json()))

    lines = [json.loads(text) for text in unroll(*SUBMIT, "--watch", "--json").out.splitlines()]

    assert [line["object"] for line in lines] == ["job"] + ["event"] * 4


def test_watching_gives_up_in_time_and_leaves_the_job(stub: Stub, unroll: Unroll) -> None:
    stub.on("GET", f"{JOB}/events/stream", event_stream(EVENTS[0]))
    stub.on("GET", JOB, job_json("running"))

    result = unroll("watch", "job_1", "--wait-s", "0.3")

    assert result.code == 7
    assert "it goes on" in result.err
    assert stub.asked("POST", f"{JOB}/cancel") == []


def test_watching_survives_a_service_that_is_away_for_a_moment(stub: Stub, unroll: Unroll) -> None:
    away = [Answer(breaks_off=True)] * 5
    final = ("evt_9", "status", {"status": "succeeded"})
    stub.on("GET", f"{JOB}/events/stream", event_stream(EVENTS[0]), event_stream(final))
    stub.on("GET", JOB, job_json("running"), *away, job_json("succeeded"))

    result = unroll("watch", "job_1")

    assert result.code == 0, result.err
    assert "status\tsucceeded" in result.out


def test_a_dry_run_shows_what_a_job_would_cost(stub: Stub, unroll: Unroll) -> None:
    plan = {"spec": {"dataset": "d"}, "num_parameters": 54_282, "steps": 450}
    cost = {"estimated_memory_bytes": 1_520_000, "estimated_duration_s": 192.0}
    stub.on("POST", "/v1/jobs", plan | cost)

    result = unroll(*SUBMIT, "--dry-run")

    assert "parameters\t54282" in result.out
    assert "memory\t1.52 MB" in result.out
    assert "duration\t3 min 12 s" in result.out
    assert unroll(*SUBMIT, "--dry-run", "--watch").code == 2


def test_cancel_prints_the_new_status(stub: Stub, unroll: Unroll) -> None:
    stub.on("POST", f"{JOB}/cancel", job_json("cancelling"))

    assert unroll("cancel", "job_1").out == "id\tjob_1\nstatus\tcancelling\n"


def test_upload_prints_the_id_and_sends_the_options(
    stub: Stub, unroll: Unroll, tmp_path: Path
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("a,b\n1,2\n")
    stub.on("POST", "/v1/datasets", Answer(201, dataset_json("mine")))
    options = '{"input_column": "a"}'

    result = unroll("datasets", "upload", str(path), "--format", "csv", "--options", options)

    assert (result.code, result.out) == (0, "ds_mine\n")
    assert b'{"input_column": "a"}' in stub.requests[0].body
    assert unroll("datasets", "upload", str(path), "--options", "[1]").code == 2
    assert unroll("datasets", "upload", str(path), "--options", "{").code == 2
    assert unroll("datasets", "upload", "nowhere.csv").code == 2


def test_every_fault_of_an_upload_is_shown_with_its_place(
    stub: Stub, unroll: Unroll, tmp_path: Path
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text("{}\n")
    details = [
        {"where": "line 1", "field": "input", "message": "is missing", "param": "file"},
        {"where": "line 2", "field": None, "message": "is no JSON", "param": "file"},
    ]
    refusal = error(422, "invalid_dataset", "line 1 input: is missing", details=details)
    stub.on("POST", "/v1/datasets", refusal)

    result = unroll("datasets", "upload", str(path))

    assert result.code == 6
    assert "  line 1 input: is missing\n  line 2: is no JSON\n" in result.err
    assert result.out == ""


def test_preview_is_one_record_a_line(stub: Stub, unroll: Unroll) -> None:
    records = [{"input": "Ünal", "target": "x"}, {"input": [1, 2], "target": 3}]
    stub.on("GET", "/v1/datasets/d/preview", {"object": "preview", "data": records})

    result = unroll("datasets", "preview", "d", "--split", "val", "--limit", "2")

    assert [json.loads(text) for text in result.out.splitlines()] == records
    assert "Ünal" in result.out
    assert stub.requests[0].query == {"split": ["val"], "limit": ["2"]}


def test_delete_is_silent_on_stdout(stub: Stub, unroll: Unroll) -> None:
    stub.on("DELETE", "/v1/datasets/d", Answer(204, b""))

    result = unroll("datasets", "delete", "d")

    assert (result.code, result.out) == (0, "")
    assert len(stub.asked("DELETE", "/v1/datasets/d")) == 1


def test_cells_are_listed_and_one_is_shown(stub: Stub, unroll: Unroll) -> None:
    cell = {"type": "gru", "title": "Gated", "equation": "h = ...", "parameters": "3·H"}
    stub.on("GET", "/v1/cells", listing(cell))

    assert "gru\tGated\th = ..." in unroll("cells").out
    assert json.loads(unroll("cells", "gru", "--json").out) == cell
    missing = unroll("cells", "lstmm")
    assert missing.code == 3
    assert "there are gru" in missing.err


def test_arguments_are_text_and_arrays_are_json(stub: Stub, unroll: Unroll) -> None:
    stub.on("POST", PREDICT, prediction(LABEL, LABEL, LABEL, LABEL))

    result = unroll("predict", "names", "Rossi", "42", "[1, 2.5]", "[unfinished")

    assert result.out.splitlines() == ["it_IT 0.75  es_ES 0.25"] * 4
    assert stub.requests[0].json == {"inputs": ["Rossi", "42", [1, 2.5], "[unfinished"]}


def test_text_stays_text_when_asked(stub: Stub, unroll: Unroll) -> None:
    stub.on("POST", PREDICT, prediction(LABEL))

    unroll("predict", "names", "--text", "[1, 2]")

    assert stub.requests[0].json == {"inputs": ["[1, 2]"]}


def test_lines_of_a_file_are_inputs_or_records(stub: Stub, unroll: Unroll, tmp_path: Path) -> None:
    path = tmp_path / "inputs.jsonl"
    path.write_text('"Rossi"\n\n{"input": [[1, 0]], "target": "x"}\n', encoding="utf-8")
    stub.on("POST", PREDICT, prediction({"value": 1.5}, {"values": [1.0, 2.0]}))

    result = unroll("predict", "names", "--file", str(path))

    assert result.out == "1.5\n[1.0, 2.0]\n"
    assert stub.requests[0].json == {"inputs": ["Rossi", [[1, 0]]]}


@pytest.mark.parametrize("arguments", [(), ("--file", "-")])
def test_standard_input_is_read_as_lines(
    stub: Stub, unroll: Unroll, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO('"a"\n["b", "c"]\n'))
    stub.on("POST", PREDICT, prediction({"labels": ["N", "V"]}, {"text": "so"}))

    result = unroll("predict", "names", *arguments)

    assert result.out == "N V\nso\n"
    assert stub.requests[0].json == {"inputs": ["a", ["b", "c"]]}


def test_a_file_that_cannot_be_read_is_refused_here(
    stub: Stub, unroll: Unroll, tmp_path: Path
) -> None:
    latin = tmp_path / "latin.jsonl"
    latin.write_bytes('"Müller"\n'.encode("latin-1"))

    assert unroll("predict", "names", "--file", "nowhere.jsonl").code == 2
    assert unroll("predict", "names", "--file", str(latin)).code == 6
    assert unroll("predict", "names", "Rossi", "--file", str(latin)).code == 2
    assert stub.requests == []


def test_many_inputs_travel_in_batches_to_one_version(
    stub: Stub, unroll: Unroll, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predicting, "BATCH", 2)
    monkeypatch.setattr(sys, "stdin", io.StringIO('"a"\n"b"\n"c"\n'))
    stub.on("POST", PREDICT, prediction({"value": 1}, {"value": 2}))
    stub.on("POST", "/v1/models/names/versions/2/predict", prediction({"value": 3}))

    result = unroll("predict", "names", "--json")

    assert json.loads(result.out) == prediction({"value": 1}, {"value": 2}, {"value": 3})
    assert [request.json["inputs"] for request in stub.requests] == [["a", "b"], ["c"]]


@pytest.mark.parametrize(
    ("lines", "code"),
    [("", 2), ("{\n", 6), ("NaN\n", 6), ('"a"\n[Infinity]\n', 6), ('{"text": "a"}\n', 6)],
)
def test_lines_that_are_no_inputs_are_refused_here(
    stub: Stub, unroll: Unroll, monkeypatch: pytest.MonkeyPatch, lines: str, code: int
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))

    assert unroll("predict", "names").code == code
    assert stub.requests == []


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
        (("worker", "--concurrency", "2"), ["workers", "--concurrency", "2"]),
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
