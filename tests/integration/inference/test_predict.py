"""Predictions of every kind of target, alone and in company."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from services.inference.registry import load
from shared.db.engine import transaction
from shared.db.models import ModelStore
from tests.integration.api.client import error_of
from tests.integration.inference.publishing import INPUTS, KINDS, publish

STEPS = 5
EACH_KIND = pytest.mark.parametrize("kind", KINDS)


def predict(client: TestClient, model: str, inputs: list[Any]) -> list[dict[str, Any]]:
    response = client.post(f"/v1/models/{model}/predict", json={"inputs": inputs})
    assert response.status_code == 200, response.text
    body = response.json()
    assert (set(body), body["model"]) == ({"model", "version", "outputs"}, model)
    outputs: list[dict[str, Any]] = body["outputs"]
    return outputs


def name_of(kind: str) -> str:
    return kind.replace(" ", "-")


def is_probability(value: Any) -> bool:
    return isinstance(value, float) and 0 <= value <= 1


@pytest.mark.parametrize(("kind", "labels"), [("class", "abc"), ("text class", "ab")])
def test_a_class_is_a_label_with_the_probability_of_each(
    client: TestClient, kind: str, labels: str
) -> None:
    [output] = predict(client, name_of(kind), [INPUTS[kind]])

    assert set(output) == {"label", "probabilities"}
    assert set(output["probabilities"]) == set(labels)
    assert sum(output["probabilities"].values()) == pytest.approx(1)
    assert output["label"] == max(output["probabilities"], key=output["probabilities"].get)


def test_a_regression_is_a_value_and_of_a_vector_a_list(client: TestClient) -> None:
    [number] = predict(client, "regression", [INPUTS["regression"]])
    [vector] = predict(client, "vector", [INPUTS["vector"]])

    assert set(number) == set(vector) == {"value"}
    assert isinstance(number["value"], float)
    assert [type(value) for value in vector["value"]] == [float] * 4


@pytest.mark.parametrize(
    ("kind", "labels"), [("tags", {*"nvp"}), ("next symbol", {*"abcd", "<unk>"})]
)
def test_tags_and_next_symbols_are_a_label_a_step(
    client: TestClient, kind: str, labels: set[str]
) -> None:
    [output] = predict(client, name_of(kind), [INPUTS[kind]])

    assert set(output) == {"labels", "probabilities"}
    assert len(output["labels"]) == len(output["probabilities"]) == STEPS
    assert set(output["labels"]) <= labels
    assert all(map(is_probability, output["probabilities"]))


@pytest.mark.parametrize("kind", ["values", "next number"])
def test_values_are_a_number_a_step(client: TestClient, kind: str) -> None:
    [output] = predict(client, name_of(kind), [INPUTS[kind]])

    assert set(output) == {"values"}
    assert [type(value) for value in output["values"]] == [float] * STEPS


@pytest.mark.parametrize(("kind", "width"), [("multilabel", 3), ("next bits", 2)])
def test_yes_or_no_answers_are_their_probabilities_a_step(
    client: TestClient, kind: str, width: int
) -> None:
    [output] = predict(client, name_of(kind), [INPUTS[kind]])

    assert set(output) == {"probabilities"}
    assert [len(step) for step in output["probabilities"]] == [width] * STEPS
    assert all(is_probability(value) for step in output["probabilities"] for value in step)


def test_probabilities_are_those_that_the_network_itself_computes(client: TestClient) -> None:
    [output] = predict(client, "class", [INPUTS["class"]])
    with transaction() as db:
        row = ModelStore(db).version("class")
    model = load(row)
    x = torch.from_numpy(model.encoding.encode_input(INPUTS["class"]))
    logits, _ = model.network(x[None], torch.tensor([STEPS]))

    expected = dict(zip("abc", logits[0].softmax(-1).tolist(), strict=True))
    assert output["probabilities"] == pytest.approx(expected, abs=1e-6)


def numbers_of(output: dict[str, Any]) -> Any:
    """All numbers of an answer in a fixed order."""
    found = {k: v for k, v in output.items() if k not in ("label", "labels")}
    [value] = found.values()
    value = [value[label] for label in sorted(value)] if isinstance(value, dict) else value
    return np.asarray(value, dtype=float)


def of_lengths(kind: str, lengths: list[int]) -> list[Any]:
    return [(INPUTS[kind] * 20)[:length] for length in lengths]


@EACH_KIND
def test_the_company_an_input_keeps_does_not_change_its_answer(
    client: TestClient, kind: str
) -> None:
    inputs = of_lengths(kind, [5, 1, 60, 2, 33, 5])
    together = predict(client, name_of(kind), inputs)
    alone = [predict(client, name_of(kind), [one])[0] for one in inputs]

    for one, other in zip(together, alone, strict=True):
        assert numbers_of(one) == pytest.approx(numbers_of(other), rel=1e-5, abs=1e-5)
    first, same = numbers_of(together[0]), numbers_of(together[5])
    assert first == pytest.approx(same, rel=1e-5, abs=1e-5)


NETWORKS: list[dict[str, Any]] = [
    {"cell": "elman", "num_layers": 2},
    {"cell": "gru", "bidirectional": True},
    {"cell": "lstm", "bidirectional": True, "num_layers": 2, "merge": "sum", "readout": "mean"},
    {"cell": "gru", "readout": "max", "dropout": 0.5, "num_layers": 2},
]


@pytest.mark.parametrize("network", NETWORKS)
def test_padding_and_dropout_change_no_answer_of_any_network(
    client: TestClient, network: dict[str, Any]
) -> None:
    publish("any", "class", **network)
    inputs = of_lengths("class", [1, 50, 7, 3])
    together = predict(client, "any", inputs)
    alone = [predict(client, "any", [one])[0] for one in inputs]

    for one, other in zip(together, alone, strict=True):
        assert numbers_of(one) == pytest.approx(numbers_of(other), rel=1e-5, abs=1e-5)
    assert together == predict(client, "any", inputs)


def test_hundreds_of_inputs_keep_their_order(client: TestClient) -> None:
    inputs = of_lengths("tags", [1 + (7 * n) % 20 for n in range(600)])
    outputs = predict(client, "tags", inputs)

    assert [len(output["labels"]) for output in outputs] == [len(text) for text in inputs]


def test_many_clients_at_once_get_their_own_answers(client: TestClient) -> None:
    inputs = of_lengths("regression", list(range(1, 33)))
    expected = [output["value"] for output in predict(client, "regression", inputs)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda one: predict(client, "regression", [one]), inputs))

    assert [one[0]["value"] for one in found] == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_symbols_that_training_did_not_show_are_read_as_unknown(client: TestClient) -> None:
    strange = predict(client, "tags", ["?!\u2603", "\ud7ff\uffff\u0301"])

    assert strange[0] == strange[1]


@pytest.mark.parametrize("version", ["1", "latest"])
def test_a_version_may_be_named(client: TestClient, version: str) -> None:
    path = f"/v1/models/class/versions/{version}/predict"
    answer = client.post(path, json={"inputs": [INPUTS["class"]]}).json()

    assert answer["version"] == 1
    assert answer["outputs"] == predict(client, "class", [INPUTS["class"]])


@pytest.mark.parametrize("version", ["2", "0", "-1", "01", "1.0", "one", "9" * 5000, "1%00", "²"])
def test_a_version_that_is_not_there_is_404(client: TestClient, version: str) -> None:
    path = f"/v1/models/class/versions/{version}/predict"
    error = error_of(client.post(path, json={"inputs": ["x"]}), 404)

    assert "of model 'class'" in error["message"]
    assert len(error["message"]) < 250


@pytest.mark.parametrize("name", ["nothing", "n" * 3000, "%F0%9F%98%80", "CLASS"])
def test_a_model_that_is_not_there_is_404(client: TestClient, name: str) -> None:
    error = error_of(client.post(f"/v1/models/{name}/predict", json={"inputs": ["x"]}), 404)

    assert "GET /v1/models" in error["message"]
