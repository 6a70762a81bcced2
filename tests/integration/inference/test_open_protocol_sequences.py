"""Sequences of the Open Inference Protocol: sessions under ids that callers choose."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.inference.app import create_app
from tests.integration.api.client import hold_to_contract


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


def test_a_model_with_one_output_gives_that_of_all_so_far(client: TestClient) -> None:
    step(client, "regression", series(1, 2), sequence_id="mine", sequence_start=True)
    last = step(client, "regression", series(3), sequence_id="mine")

    whole = step(client, "regression", series(1, 2, 3))
    assert last["values"] == pytest.approx(whole["values"], abs=1e-5)


def test_a_sequence_that_ends_is_forgotten_and_may_begin_again(client: TestClient) -> None:
    first = step(client, "tags", text("xy"), sequence_id=5, sequence_start=True)
    step(client, "tags", text("z"), sequence_id=5, sequence_end=True)
    body = {"inputs": [{"name": "input", **text("x")}], "parameters": {"sequence_id": 5}}
    answer = client.post("/v2/models/tags/infer", json=body)

    assert answer.status_code == 400
    assert "sequence_start" in answer.json()["error"]
    assert step(client, "tags", text("xy"), sequence_id=5, sequence_start=True) == first


def test_a_sequence_that_begins_anew_in_another_replica_goes_on_from_there(
    client: TestClient,
) -> None:
    replica = TestClient(create_app())
    hold_to_contract(replica, create_app)
    step(client, "tags", text("xy"), sequence_id=6, sequence_start=True)
    step(replica, "tags", text("zz"), sequence_id=6, sequence_start=True)

    last = step(client, "tags", text("x"), sequence_id=6)
    whole = step(client, "tags", text("zzx"))
    num_labels = len(last["probabilities"])
    assert last["probabilities"] == pytest.approx(whole["probabilities"][-num_labels:], abs=1e-5)
