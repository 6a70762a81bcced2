"""What pages say, without a page: the same job as code, drawings, words, documents."""

import base64
import json
import shlex
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.client.commands.spec import spec_of
from services.dashboard.views import datasets, gates, network, raw, snippets, words
from services.dashboard.views.columns import columns_view
from services.dashboard.views.curves import first_charts, group
from services.dashboard.views.unknown import unknown_view
from shared.db.tables import DatasetRow
from shared.jobs.errors import InvalidSpec
from shared.jobs.spec import JobSpec
from tests.browser.tracing import traced

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


def test_statistics_are_drawn_where_they_are_there() -> None:
    statistics = {
        "lengths": {"edges": [1, 3, 5], "counts": [10, 5]},
        "vocabulary": {"size": 3, "most_frequent": [{"symbol": " ", "count": 7}]},
        "missing": {"longer_than_max_length": 2, "between_splits": 0},
        "duplicates": {"within": {"train": 0}, "across": {"train_test": 312}},
    }
    row = DatasetRow(
        id="ds_1",
        name="names",
        source="upload",
        format="csv",
        bytes=2048,
        sha256="00",
        options={},
        encoding={"input": {"kind": "tokens", "tokens": "char", "symbols": ["<unk>", " ", "a"]}},
        schema={"input": {"kind": "tokens"}, "target": {"kind": "class", "size": 2}},
        splits={"test": 1, "train": 14},
        lengths={},
        mappings=["many_to_one"],
        about={"class_balance": {"x": 5, "y": 10}},
    )
    plain = datasets.dataset_page(row)
    row.statistics, row.warnings = statistics, ["312 items are in train and test"]
    full = datasets.dataset_page(row)

    assert (plain.histogram, plain.warnings) == ([], [])
    assert [(each.low, each.high, each.share) for each in full.histogram] == [
        ("1", "3", 1.0),
        ("3", "5", 0.5),
    ]
    assert full.vocabulary == [("<unk>", "<unk>"), ("␣", "' ': 7"), ("a", "a")]
    facts = dict(full.facts)
    assert facts["Left out"] == "longer than max length 2"
    assert facts["Shared by"] == "train test 312"
    assert "Twice in" not in facts
    assert [each.label for each in full.classes] == ["y", "x"]


@pytest.mark.parametrize(
    ("part", "text", "value"),
    [
        ({"kind": "tokens", "tokens": "char"}, "[1]", "[1]"),
        ({"kind": "tokens", "tokens": "list"}, "C E  G", ["C", "E", "G"]),
        ({"kind": "tokens", "tokens": "list"}, '["a b"]', ["a b"]),
        ({"kind": "numeric", "size": 1}, "1, 2.5\n3", [1, 2.5, 3]),
        ({"kind": "numeric", "size": 2}, "1;2\n\n3\t4", [[1, 2], [3, 4]]),
        ({"kind": "numeric", "size": 2}, "[[1, 2]]", [[1, 2]]),
        ({"kind": "vector", "size": 3}, "1 2 3", [1, 2, 3]),
        ({"kind": "category"}, "7", "7"),
    ],
)
def test_what_is_typed_is_read_as_the_model_takes_it(
    part: dict[str, Any], text: str, value: Any
) -> None:
    assert raw.parse(part, text) == value
    assert raw.parse(part, raw.typed(value)) == value
    assert raw.hint(part)


def test_what_is_no_number_is_named_with_its_line() -> None:
    with pytest.raises(InvalidSpec, match=r"Line 2: 'x' is no number"):
        raw.parse({"kind": "numeric", "size": 2}, "1, 2\n3, x")


def test_gates_come_as_one_byte_a_value_with_the_chosen_unit_in_view() -> None:
    view = gates.trace_view(traced(None, "", {"input": "abcd"}), "", "", 3, "mean size")
    gate = view.maps[0]
    rows = [int(unit) for unit in view.order.split(",")]

    assert len(base64.b64decode(gate.data)) == 4 * 8
    assert (rows[gate.row], view.show, view.chosen) == (3, "c", "network.1.backward")
    assert [each.symbol for each in view.strip] == list("abcd")
    assert view.half_life == "1.5 steps (median of all units: 2.1 steps)"
    assert 3 not in [unit for unit, _ in view.alike]


@pytest.mark.parametrize(
    ("head", "kind", "filled"),
    [
        (
            "at;a;b\n2026-01-01 00:00;1;2\n2026-01-01 01:00;;1\n",
            "window",
            {"options.input_column": "a, b", "options.window": "2"},
        ),
        (
            'id,says,is\n1,"so, so long",up\n2,"b",down\n3,"',
            "input_column",
            {"options.input_column": "says", "options.target_column": "is"},
        ),
        (
            "w\th\tkind\n1\t2\tx\n3\t1\ty\n",
            "input_columns",
            {"options.input_column": "w, h", "options.target_column": "kind"},
        ),
        ("", "input_columns", {}),
    ],
)
def test_the_columns_of_a_csv_are_guessed_from_its_first_rows(
    head: str, kind: str, filled: dict[str, str]
) -> None:
    view = columns_view(head)

    assert view.kind == kind
    assert {name: value for name, value in view.fields.items() if value} == filled


def test_unknown_symbols_are_named_with_what_is_nearest() -> None:
    part = {"kind": "tokens", "tokens": "char", "symbols": ["<unk>", "u", "b", "E", " "]}
    words = {"kind": "tokens", "tokens": "word", "symbols": ["<unk>", "good", "bad"]}

    found = unknown_view(part, "ü Be7ü")

    assert found is not None
    assert (found.symbols, found.replaced) == (["ü", "B", "e", "7"], "u bEu")
    assert (found.vocabulary, found.size) == (["u", "b", "E", "␣"], 4)
    assert unknown_view(part, "b E") is None
    assert unknown_view({"kind": "numeric"}, ()) is None
    not_one_known = unknown_view(words, ["Good", "or", "bad"])
    assert not_one_known is not None
    assert not_one_known.replaced == "good bad"
