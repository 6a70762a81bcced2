"""Sequences of the Open Inference Protocol on a store that is plugged in: who is asked, for what."""

from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from services.inference.app import create_app
from services.inference.oip.sequences import Turn
from services.inference.oip.tensors import Array
from services.inference.predictor import run
from services.inference.registry import Loaded
from tests.integration.api.client import hold_to_contract


class Remembering:
    """Reads a sequence from its start again at each turn; a real store carries the state."""

    is_there = True

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.read: dict[str, Array] = {}

    def advance(self, model: Loaded, elements: Array, turn: Turn) -> Array:
        self.turns.append(turn)
        before = self.read.get(turn.sequence_id, elements[:0])
        so_far = elements if turn.starts else np.concatenate([before, elements])
        self.read[turn.sequence_id] = so_far
        ends = range(len(so_far) - len(elements), len(so_far))
        if model.encoding.per_step:
            return run(model, [so_far])[0][ends]
        return np.stack([run(model, [so_far[: end + 1]])[0] for end in ends])


@pytest.fixture
def keeping(client: TestClient) -> tuple[TestClient, Remembering]:
    """The models of `client` in a service that keeps sequences."""
    app, store = create_app(), Remembering()
    app.state.protocol.sequences = store
    keeping = TestClient(app)
    hold_to_contract(keeping, create_app)
    return keeping, store


def step(
    client: TestClient, model: str, tensor: dict[str, Any], **parameters: Any
) -> dict[str, list[Any]]:
    body = {"inputs": [{"name": "input", **tensor}], "parameters": parameters}
    answer = client.post(f"/v2/models/{model}/infer", json=body)
    assert answer.status_code == 200, answer.text
    return {output["name"]: output["data"] for output in answer.json()["outputs"]}


def text(data: str) -> dict[str, Any]:
    return {"shape": [1], "datatype": "BYTES", "data": [data]}


def series(*data: float) -> dict[str, Any]:
    return {"shape": [1, len(data), 1], "datatype": "FP32", "data": data}


def test_a_sequence_in_parts_says_what_it_says_in_one(
    keeping: tuple[TestClient, Remembering],
) -> None:
    client, store = keeping
    whole = step(client, "tags", text("xyzx"))
    first = step(client, "tags", text("xy"), sequence_id=5, sequence_start=True)
    second = step(client, "tags", text("zx"), sequence_id=5, sequence_end=True)

    assert first["label"] + second["label"] == whole["label"]
    parts = first["probabilities"] + second["probabilities"]
    assert parts == pytest.approx(whole["probabilities"], abs=1e-5)
    assert store.turns == [Turn("5", True, False), Turn("5", False, True)]


def test_a_model_with_one_output_gives_that_of_all_so_far(
    keeping: tuple[TestClient, Remembering],
) -> None:
    client, _ = keeping
    step(client, "regression", series(1, 2), sequence_id="mine", sequence_start=True)
    last = step(client, "regression", series(3), sequence_id="mine")

    assert last["values"] == pytest.approx(step(client, "regression", series(1, 2, 3))["values"])


def test_a_service_that_keeps_sequences_says_so(keeping: tuple[TestClient, Remembering]) -> None:
    client, store = keeping

    assert {"sequence", "sequence(string_id)"} <= set(client.get("/v2").json()["extensions"])
    assert "sequence_batching" in client.get("/v2/models/tags/config").json()
    without = {"inputs": [{"name": "input", **text("x")}], "parameters": {"sequence_end": True}}
    answer = client.post("/v2/models/tags/infer", json=without)
    assert (answer.status_code, store.turns) == (422, [])
