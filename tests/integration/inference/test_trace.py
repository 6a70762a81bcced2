"""Gates and states of a published network, as they are asked for over HTTP."""

from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from tests.integration.api.client import error_of
from tests.integration.inference.publishing import INPUTS, WRITING, publish
from tests.integration.seeding import settings


def trace(client: TestClient, model: str, **body: Any) -> dict[str, Any]:
    answer = client.post(f"/v1/models/{model}/trace", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_trace_has_every_gate_and_state_of_every_layer_and_direction(client: TestClient) -> None:
    publish("deep", "tags", num_layers=2, hidden_size=[6, 3], bidirectional=True)
    found = trace(client, "deep", input="xyzyx")

    assert (found["object"], found["model"], found["version"]) == ("trace", "deep", 1)
    assert found["cell"]["type"] == "lstm"
    assert found["sequences"] == {"network": {"num_steps": 5, "symbols": list("xyzyx")}}
    assert found["max_difference"] <= 1e-5
    assert [(one["layer"], one["direction"], one["num_units"]) for one in found["layers"]] == [
        (1, "forward", 6), (1, "backward", 6), (2, "forward", 3), (2, "backward", 3),
    ]  # fmt: skip
    for layer in found["layers"]:
        kinds = {array["name"]: array["kind"] for array in layer["arrays"]}
        assert kinds == {
            "i": "gate", "f": "gate", "g": "candidate", "o": "gate", "c": "cell_state", "h": "hidden_state",
        }  # fmt: skip
        for array in layer["arrays"]:
            values = np.array(array["values"])
            assert list(values.shape) == array["shape"] == [5, layer["num_units"]]
            assert array["summary"]["mean"] == pytest.approx(values.mean(), abs=1e-6)
        assert layer["half_life"]["formula"] == "f"
        assert len(layer["half_life"]["units"]) == layer["num_units"]
        assert 0 < layer["half_life"]["median"] < 10


def test_a_step_sees_nothing_of_what_follows_it_in_its_direction(client: TestClient) -> None:
    publish("both", "tags", bidirectional=True)
    long, cut = (trace(client, "both", input=text)["layers"] for text in ("xyzz", "xyz"))
    forward, backward = (np.array(layer["arrays"][-1]["values"]) for layer in long)
    shorter, other = (np.array(layer["arrays"][-1]["values"]) for layer in cut)

    assert forward[:3] == pytest.approx(shorter, abs=1e-6)
    assert np.abs(backward[:3] - other).max() > 1e-3


@pytest.mark.parametrize("kind", ["rewritten", "from a category", "of another length"])
def test_a_decoder_is_traced_over_what_it_writes(client: TestClient, kind: str) -> None:
    name = kind.replace(" ", "-")
    publish(name, kind, cell="gru")
    given = WRITING[kind][0]["input"]
    found = trace(client, name, input=given, max_length=2)
    answer = client.post(
        f"/v1/models/{name}/predict", json={"inputs": [given], "options": {"max_length": 2}}
    ).json()["outputs"][0]
    decoder = found["sequences"]["decoder"]

    encodes = kind != "from a category"
    assert [layer["part"] for layer in found["layers"]] == ["encoder"] * encodes + ["decoder"]
    assert found["layers"][-1]["num_steps"] == decoder["num_steps"]
    if kind == "rewritten":
        assert "".join(decoder["symbols"]).removesuffix("<stop>") == answer["text"]
    else:
        assert decoder == {"num_steps": len(answer["values"]), "symbols": None}
    assert found["max_difference"] <= 1e-5


def test_an_input_past_the_limit_is_refused_with_how_long_it_may_be(client: TestClient) -> None:
    with settings(max_trace_numbers="180"):
        refused = client.post("/v1/models/tags/trace", json={"input": "xyzxyz"})
        allowed = trace(client, "tags", input="xyzxy")
    error = error_of(refused, 413)

    assert error["param"] == "input"
    assert error["message"] == (
        "The trace would hold 216 numbers, and 180 are allowed; send an input of at most 5 steps."
    )
    assert allowed["layers"][0]["num_steps"] == 5


@pytest.mark.parametrize(
    ("model", "body", "param"),
    [
        ("tags", {"input": 3}, "input"),
        ("class", {"input": [[1, 2], [3, None]]}, "input.1.1"),
        ("tags", {"input": ""}, "input"),
        ("tags", {"inputs": ["x"]}, "input"),
        ("tags", {"input": "x", "max_length": 3}, "max_length"),
        ("plain", {"input": [1, 2]}, "name"),
    ],
)
def test_what_cannot_be_traced_is_refused_at_its_field(
    client: TestClient, model: str, body: dict[str, Any], param: str
) -> None:
    if model == "plain":
        publish("plain", "vector to class")

    assert error_of(client.post(f"/v1/models/{model}/trace", json=body), 422)["param"] == param


def test_a_version_is_traced_by_its_number(client: TestClient) -> None:
    publish("twice", "class", cell="elman")
    publish("twice", "class", cell="jordan")
    body = {"input": INPUTS["class"]}
    old, new = (
        client.post(f"/v1/models/twice/versions/{version}/trace", json=body).json()
        for version in ("1", "latest")
    )

    assert ([old["version"], new["version"]]) == [1, 2]
    assert [a["name"] for a in new["layers"][0]["arrays"]] == ["a", "y"]
    assert old["layers"][0]["half_life"] is None
    assert old["sequences"]["network"]["symbols"] is None
