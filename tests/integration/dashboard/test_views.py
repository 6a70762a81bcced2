"""What pages say, without a page: the same job as code, drawings, words, documents."""

import json
import shlex
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.client.commands.spec import spec_of
from services.dashboard.views import network, snippets, words
from services.dashboard.views.curves import first_charts, group
from shared.jobs.spec import JobSpec

SPECS: list[dict[str, Any]] = [
    {"dataset": "surnames", "network": {"cell": "lstm"}},
    {
        "name": 'it\'s "quoted" & <b>',
        "dataset": "my data",
        "mapping": "many_to_many",
        "network": {"cell": {"type": "lstm", "forget_bias": 2.5}, "num_layers": 3},
        "training": {
            "optimizer": {"type": "adamw", "lr": 0.003},
            "clip_norm": None,
            "early_stopping": {"patience": 3},
            "schedule": {"type": "cosine", "warmup_steps": 10},
        },
        "metadata": {"team": "nlp", "number": "7", "type": "x"},
        "priority": 9,
    },
    {
        "dataset": "adding",
        "network": {"cell": {"type": "elman", "activation": "relu"}, "bidirectional": True},
        "training": {"optimizer": {"type": "sgd", "lr": 0.1}, "epochs": 3},
    },
]


@pytest.fixture(params=SPECS)
def spec(request: pytest.FixtureRequest) -> JobSpec:
    return JobSpec.model_validate(request.param)


def code(spec: JobSpec, kind: str) -> str:
    made = snippets.snippets(spec.model_dump(mode="json"), "http://unroll.test", needs_key=True)
    return next(snippet.code for snippet in made if snippet.id == kind)


def test_leaving_out_the_defaults_loses_nothing(spec: JobSpec) -> None:
    short = snippets.without_defaults(spec.model_dump(mode="json"))

    assert JobSpec.model_validate(short) == spec
    assert "checkpoint" not in short


def test_the_curl_command_sends_the_same_spec(spec: JobSpec) -> None:
    words_ = shlex.split(code(spec, "curl").replace("\\\n", ""))

    assert words_[:2] == ["curl", "http://unroll.test/v1/jobs"]
    assert "Authorization: Bearer $UNROLL_API_KEY" in words_
    assert JobSpec.model_validate(json.loads(words_[words_.index("-d") + 1])) == spec


def test_the_command_line_means_the_same_spec(spec: JobSpec) -> None:
    parts = shlex.split(code(spec, "cli").replace("\\\n", ""))
    given = {name: parts[parts.index(f"--{name}") + 1] for name in ("dataset", "cell")}
    sets = [parts[place + 1] for place, part in enumerate(parts) if part == "--set"]

    assert JobSpec.model_validate(spec_of({**given, "set": sets})) == spec


def test_the_python_code_submits_the_same_spec(
    spec: JobSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.client.client import UnrollClient

    sent: list[dict[str, Any]] = []

    class Job:
        id = "job_1"

    monkeypatch.setattr(UnrollClient, "submit", lambda self, spec: sent.append(spec) or Job())
    monkeypatch.setattr(UnrollClient, "wait", lambda self, job_id: job_id)

    exec(code(spec, "python"), {})

    assert JobSpec.model_validate(sent[0]) == spec


@pytest.mark.parametrize(
    ("fields", "inputs", "outputs"),
    [
        ({"mapping": "one_to_one"}, ["x"], ["y"]),
        ({"mapping": "one_to_many"}, ["x", "y1", "yT-1"], ["y1", "y2", "yT"]),
        ({"mapping": "many_to_one"}, ["x1", "x2", "xT"], ["y"]),
        ({"mapping": "many_to_many"}, ["x1", "x2", "xT"], ["y1", "y2", "yT"]),
        (
            {"mapping": "many_to_many", "alignment": "encoder_decoder"},
            ["x1", "xT", "y1"],
            ["y1", "y2"],
        ),
    ],
)
def test_each_mapping_is_drawn_as_it_reads_and_writes(
    fields: dict[str, str], inputs: list[str], outputs: list[str]
) -> None:
    spec = JobSpec.model_validate({**SPECS[0], **fields})

    drawing = network.draw(spec.model_dump(mode="json"))

    def texts(kind: str) -> list[str]:
        return [box.text for box in drawing.boxes if box.kind == kind]

    assert (texts("input"), texts("output")) == (inputs, outputs)
    for box in drawing.boxes:
        assert box.x - box.width / 2 > 0
        assert box.x + box.width / 2 < drawing.width
        assert 0 < box.y < drawing.height


def test_a_deep_stack_is_drawn_by_its_ends() -> None:
    spec = JobSpec.model_validate({**SPECS[0], "mapping": "many_to_one"}).model_dump(mode="json")
    spec["network"] |= {"num_layers": 12, "readout": "mean"}

    drawing = network.draw(spec)

    assert {box.text for box in drawing.boxes if box.kind == "cell"} == {"L1", "L12"}
    assert [box.text for box in drawing.boxes if box.kind == "pool"] == ["mean over the steps"]
    assert drawing.title == "12 lstm layers of 128 units each; many to one"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "—"),
        (0, "0 s"),
        (0.2, "< 1 s"),
        (41.4, "41 s"),
        (125, "2 min"),
        (12_000, "3 h 20 min"),
        (7200, "2 h"),
        (200_000, "2 d 7 h"),
    ],
)
def test_durations_are_said_in_the_units_that_matter(seconds: float | None, said: str) -> None:
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "—"),
        (58_114, "58,114"),
        (0.41237, "0.4124"),
        (1234.5, "1234"),
        (0.00001234, "1.234e-05"),
        (float("nan"), "nan"),
    ],
)
def test_numbers_are_said_in_four_digits(value: float | None, said: str) -> None:
    assert words.number(value) == said


def test_a_hundred_percent_is_said_only_at_the_end() -> None:
    assert (words.percent(0.999), words.percent(1.0)) == ("99 %", "100 %")


def test_curves_share_a_chart_by_what_they_measure() -> None:
    names = ["test/loss", "train/grad_norm", "train/loss", "val/accuracy", "val/loss"]

    assert group(names) == {
        "loss": ["train/loss", "val/loss"],
        "accuracy": ["val/accuracy"],
        "grad_norm": ["train/grad_norm"],
    }


@pytest.mark.parametrize(
    ("charts", "shown"),
    [
        (["loss", "accuracy", "f1_macro", "lr"], ["loss", "accuracy"]),
        (["loss", "examples_per_s", "lr"], ["loss"]),
        (["examples_per_s", "lr"], ["examples_per_s"]),
        ([], []),
    ],
)
def test_the_first_charts_say_how_good_a_network_is(charts: list[str], shown: list[str]) -> None:
    assert first_charts(charts) == shown


def test_the_api_page_has_every_route_parameter_and_model() -> None:
    from services.api.app import create_app

    client = TestClient(create_app())
    openapi = client.get("/openapi.json").json()

    page = client.get("/docs").text

    assert '<script src="/static/theme.js">' in page
    assert "http://" not in page.replace("http://127.0.0.1", "")
    assert "https://" not in page
    for path, verbs in openapi["paths"].items():
        for verb, operation in verbs.items():
            assert f'<span class="verb">{verb.upper()}</span> {path}</h2>' in page
            for parameter in operation.get("parameters", ()):
                assert f"<code>{parameter['name']}</code>" in page
    for name, schema in openapi["components"]["schemas"].items():
        assert f'id="model-{name}"' in page
        assert all(f"<code>{field}</code>" in page for field in schema.get("properties", {}))
