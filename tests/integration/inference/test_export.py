"""Published networks as files: other programs read them, and compute what predict answers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from fastapi.testclient import TestClient
from safetensors.numpy import load

from shared.data.encoding import Encoding
from shared.db.engine import transaction
from shared.db.models import ModelStore
from shared.nn.checkpoint import unpack, weights_sha256
from tests.integration.api.client import error_of
from tests.integration.inference.publishing import INPUTS, KINDS, publish

EACH_KIND = pytest.mark.parametrize("kind", KINDS)


def exported(client: TestClient, model: str, format: str, version: str = "latest") -> bytes:
    path = f"/v1/models/{model}/versions/{version}/export?format={format}"
    response = client.get(path)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/octet-stream"
    assert f'filename="{model}-1.{format}"' in response.headers["content-disposition"]
    return bytes(response.content)


def rows_of(encoding: Encoding, raws: list[Any]) -> dict[str, np.ndarray]:
    """Raw inputs as a reader of the file's metadata would feed them."""
    lengths = np.array([len(raw) for raw in raws])
    if encoding.input.kind == "tokens":
        known = encoding.input.symbols
        rows = [[known.index(s) if s in known else 0 for s in raw] for raw in raws]
        padded = np.zeros((len(raws), lengths.max()), np.int64)
    else:
        rows = [np.reshape(np.array(raw), (len(raw), -1)) for raw in raws]
        padded = np.full((len(raws), lengths.max(), encoding.input.size), 9, np.float32)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = row
    return {"input": padded, "lengths": lengths}


@EACH_KIND
def test_an_onnx_file_alone_is_enough_to_say_what_predict_says(
    client: TestClient, kind: str
) -> None:
    name, raws = kind.replace(" ", "-"), [INPUTS[kind], INPUTS[kind][:2]]
    file = exported(client, name, "onnx")
    told = {prop.key: prop.value for prop in onnx.load_from_string(file).metadata_props}
    encoding = Encoding.model_validate_json(told["encoding"])
    session = onnxruntime.InferenceSession(file)
    [output] = session.run(None, rows_of(encoding, raws))
    answers = client.post(f"/v1/models/{name}/predict", json={"inputs": raws}).json()["outputs"]

    assert told["model"] == name
    for row, answer in zip(output, answers, strict=True):
        if "label" in answer:
            labels = json.loads(told["labels"])
            found = dict(zip(labels, row.tolist(), strict=True))
            assert found == pytest.approx(answer["probabilities"], abs=1e-5)
        elif "labels" in answer:
            steps = row[: len(answer["labels"])]
            assert steps.max(-1) == pytest.approx(np.array(answer["probabilities"]), abs=1e-5)
        else:
            [values] = answer.values()
            expected = np.reshape(np.array(values), (-1, row.shape[-1]))
            given = np.reshape(row, (-1, row.shape[-1]))[: len(expected)]
            assert given == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", ["class", "rewritten"])
def test_a_safetensors_file_has_the_weights_and_what_they_mean(
    client: TestClient, name: str, tmp_path: Path
) -> None:
    if name == "rewritten":
        publish(name, name)
    file = exported(client, name, "safetensors", "1")
    with transaction() as db:
        row = ModelStore(db).version(name)
    checkpoint = unpack([file])

    assert weights_sha256(checkpoint.weights) == row.weights_sha256
    assert set(load(file)) == {f"network.{weight}" for weight in checkpoint.weights}
    assert checkpoint.spec.model_dump(mode="json") == row.network
    assert checkpoint.facts == {"model": name, "version": 1, "encoding": row.encoding}
    size = int.from_bytes(file[:8], "little")
    assert json.loads(file[8 : 8 + size])["__metadata__"]["format"] == "unroll/1"


def test_what_cannot_be_exported_says_why(client: TestClient) -> None:
    publish("rewritten", "rewritten")
    writer = client.get("/v1/models/rewritten/versions/latest/export")
    unknown = client.get("/v1/models/class/versions/1/export?format=pickle")
    missing = client.get("/v1/models/class/versions/7/export?format=onnx")

    told = error_of(writer, 422)
    assert told["param"] == "format"
    assert "no single network" in told["message"]
    assert error_of(unknown, 422)["param"] == "format"
    error_of(missing, 404)
