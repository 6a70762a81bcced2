"""The command that calls a trained network: what it sends, and how it shows the answer."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from services.client.commands import predict as predicting
from tests.unit.client.conftest import Result
from tests.unit.client.stub import Stub

Unroll = Callable[..., Result]
PREDICT = "/v1/models/names/predict"
LABEL = {"label": "it_IT", "probabilities": {"it_IT": 0.75, "es_ES": 0.25}}


def prediction(*outputs: object) -> dict[str, object]:
    return {"model": "names", "version": 2, "outputs": list(outputs)}


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
    stub.on("POST", PREDICT, prediction({"value": 1.5}, {"values": [[1.0], [2.00000004768]]}))

    result = unroll("predict", "names", "--file", str(path))

    assert result.out == "1.5\n[[1.0], [2.0]]\n"
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


def test_options_of_writing_travel_as_numbers(unroll: Unroll, stub: Stub) -> None:
    stub.on("POST", PREDICT, prediction({"text": "Rossi"}, {"tokens": ["R", "o"]}))

    result = unroll(
        "predict", "names", "it", "fr", "--option", "max_length=5", "--option", "temperature=0.5"
    )

    assert stub.requests[-1].json["options"] == {"max_length": 5, "temperature": 0.5}
    assert result.out.splitlines() == ["Rossi", "R o"]


@pytest.mark.parametrize("option", ["max_length", "max_length=", "=3", "max_length=long"])
def test_an_option_without_a_number_is_a_usage_error(unroll: Unroll, option: str) -> None:
    assert unroll("predict", "names", "it", "--option", option).code == 2
