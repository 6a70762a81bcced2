"""What a shell is offered, by the protocol that its completion script speaks."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from services.client.cli import app
from services.client.commands import completion
from services.client.commands.completion import in_time
from tests.unit.client.conftest import Result
from tests.unit.client.stub import (
    Answer,
    Stub,
    dataset_json,
    error,
    job_json,
    listing,
    model_json,
)

Complete = Callable[..., Result]
JOBS = listing(job_json("running", "job_2"), job_json("failed", "job_1"))
HOSTILE = "a: [b] \\\") ; `touch x` $(touch y) 'z' ; ("
NAMES_OF_THINGS = {"JOB", "MODEL", "MODEL[@VERSION]", "DATASET", "EXPERIMENT", "VERSION", "ALIAS"}


@pytest.fixture
def complete(unroll: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> Complete:
    """What is offered for the last word of a line, however slow the machine is."""
    monkeypatch.setattr(completion, "ANSWER_S", 60.0)

    def ask(line: str, shell: str = "bash") -> Result:
        monkeypatch.setenv("_UNROLL_COMPLETE", f"complete_{shell}")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
        monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
        return unroll()

    return ask


def model_with_aliases() -> dict[str, Any]:
    model = model_json()
    first = {**model["versions"][0], "aliases": ["production"]}
    return {**model, "versions": [{**first, "version": 2, "aliases": []}, first]}


@pytest.mark.parametrize(
    ("line", "path", "body", "offered"),
    [
        ("unroll show ", "/v1/jobs", JOBS, ["job_2", "job_1"]),
        ("unroll rm job_1 job_", "/v1/jobs", JOBS, ["job_2", "job_1"]),
        ("unroll publish names --job ", "/v1/jobs", JOBS, ["job_2", "job_1"]),
        ("unroll submit --dataset su", "/v1/datasets", listing(dataset_json()), ["surnames"]),
        ("unroll datasets show ", "/v1/datasets", listing(dataset_json()), ["surnames"]),
        ("unroll predict n", "/v1/models", listing(model_json()), ["names"]),
        ("unroll predict x", "/v1/models", listing(model_json()), []),
        (
            "unroll predict names --version ",
            "/v1/models/names",
            model_with_aliases(),
            ["production", "2", "1"],
        ),
        ("unroll models unalias names ", "/v1/models/names", model_with_aliases(), ["production"]),
        (
            "unroll alias names production ",
            "/v1/models/names",
            model_with_aliases(),
            ["2", "1"],
        ),
        (
            "unroll metrics job_1 val",
            "/v1/jobs/job_1",
            job_json(latest={"train/loss": 1.5, "val/loss": None}),
            ["val/loss"],
        ),
        (
            "unroll cells l",
            "/v1/cells",
            listing({"type": "lstm", "title": "LSTM", "equation": "-", "parameters": "-"}),
            ["lstm"],
        ),
    ],
)
def test_what_the_service_has_is_offered(
    stub: Stub,
    complete: Complete,
    line: str,
    path: str,
    body: dict[str, Any],
    offered: list[str],
) -> None:
    stub.on("GET", path, body)

    result = complete(line)

    assert (result.code, result.out.split(), result.err) == (0, offered, "")


def test_words_that_are_always_these_need_no_service(stub: Stub, complete: Complete) -> None:
    assert complete("unroll submit --schedule c").out.split() == ["constant", "cosine"]
    assert complete("unroll datasets upload x --format j").out.split() == ["jsonl"]
    assert complete("unroll jobs --status pau").out.split() == ["pausing", "paused"]
    assert stub.requests == []


def test_a_verb_is_offered_the_jobs_that_it_fits(stub: Stub, complete: Complete) -> None:
    stub.on("GET", "/v1/jobs", JOBS)

    complete("unroll resume ")
    complete("unroll retry ")

    statuses = [set(asked.query["status"]) for asked in stub.requests]
    assert statuses == [{"paused"}, {"failed", "cancelled"}]


def test_options_on_the_line_and_the_environment_say_whom_to_ask_with_which_key(
    stub: Stub, complete: Complete, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.on("GET", "/v1/jobs", JOBS)
    monkeypatch.setenv("UNROLL_API_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("UNROLL_API_KEY", "of-the-environment")

    complete(f"unroll show --api-url {stub.url} ")
    complete(f"unroll show --api-url {stub.url} --api-key of-the-line ")

    keys = [asked.headers["authorization"] for asked in stub.requests]
    assert keys == ["Bearer of-the-environment", "Bearer of-the-line"]


def test_shells_that_show_a_text_beside_a_word_are_given_one_they_cannot_evaluate(
    stub: Stub, complete: Complete
) -> None:
    stub.on("GET", "/v1/jobs", listing(job_json("running", name=HOSTILE)))

    texts = {shell: complete("unroll show ", shell).out for shell in ("zsh", "fish")}

    assert '"job_1":"a b touch x touch y z , running"' in " ".join(texts["zsh"].split())
    assert "a b touch x touch y z , running" in " ".join(texts["fish"].split())


def test_a_name_that_a_shell_would_read_otherwise_is_not_offered(
    stub: Stub, complete: Complete
) -> None:
    stub.on("GET", "/v1/datasets", listing(dataset_json("$(touch x)"), dataset_json("naïve-2")))

    assert complete("unroll datasets show ").out.split() == ["naïve-2"]


@pytest.mark.parametrize(
    "answer",
    [
        error(401, "unauthorized", "No key."),
        error(503, "unavailable", "Later.", headers={"retry-after": "30"}),
        Answer(body=b"<html>"),
        Answer(body={"data": [{"id": "job_1"}]}),
        Answer(breaks_off=True),
    ],
)
def test_a_service_that_does_not_answer_well_makes_no_noise(
    stub: Stub, complete: Complete, answer: Answer
) -> None:
    stub.on("GET", "/v1/jobs", answer)

    result = complete("unroll show ")

    assert (result.code, result.out.strip(), result.err) == (0, "", "")
    assert len(stub.requests) == 1


def test_no_service_and_a_wrong_configuration_make_no_noise(
    complete: Complete, tmp_path: Path
) -> None:
    away = complete("unroll show --api-url http://127.0.0.1:1 ")
    (tmp_path / "unroll.toml").write_text("nonsense")
    wrong = complete("unroll show ")

    for result in (away, wrong):
        assert (result.code, result.out.strip(), result.err) == (0, "", "")


def test_what_does_not_come_in_time_is_not_waited_for() -> None:
    shown = threading.Event()

    def slow() -> list[tuple[str, str]]:
        shown.wait(30)
        return [("late", "")]

    assert in_time(slow, 0.01) == []
    shown.set()


def test_every_id_and_name_that_a_command_takes_is_offered() -> None:
    def parameters(command: Any) -> list[Any]:
        inner = getattr(command, "commands", {}).values()
        return [*command.params, *(each for sub in inner for each in parameters(sub))]

    arguments = [each for each in parameters(typer.main.get_command(app)) if each.metavar]
    named = [each for each in arguments if each.metavar in NAMES_OF_THINGS]

    assert len(named) > 30
    assert [each for each in named if each._custom_shell_complete is None] == []
