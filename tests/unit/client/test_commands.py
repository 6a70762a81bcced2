"""The commands against a stub: what they print where, and with what code they end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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


def test_options_of_an_upload_override_its_json(stub: Stub, unroll: Unroll, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("a,b,c\n1,2,3\n")
    stub.on("POST", "/v1/datasets", Answer(201, dataset_json("mine")))
    flags = ("--input-columns", "a, b", "--target-column", "c", "--window", "3")

    unroll("datasets", "upload", str(path), *flags, "--options", '{"window": 9, "seed": 4}')

    sent = {"window": 3, "seed": 4, "input_columns": ["a", "b"], "target_column": "c"}
    assert json.dumps(sent).encode() in stub.requests[0].body


def test_a_url_is_left_to_the_service_and_warnings_go_to_stderr(stub: Stub, unroll: Unroll) -> None:
    warned = {**dataset_json("mine"), "warnings": ["2 items are in train and test"]}
    stub.on("POST", "/v1/datasets", Answer(201, warned))

    result = unroll("datasets", "upload", "https://data.example/my%20words.jsonl?key=1")

    assert (result.code, result.out) == (0, "ds_mine\n")
    assert "warning: 2 items are in train and test" in result.err
    assert stub.requests[0].json == {
        "url": "https://data.example/my%20words.jsonl?key=1",
        "name": "my words",
        "format": "auto",
        "options": {},
    }
    assert stub.requests[0].headers["idempotency-key"]


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
    assert result.err == "Error: line 1 input: is missing\n  line 2: is no JSON\n"
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
