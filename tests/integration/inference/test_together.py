"""Many clients at once: their requests run together, and each gets what it would get alone."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.inference import predicting
from services.inference.predicting import Lane, Predictions
from services.inference.predictor import CORES
from tests.integration.api.client import error_of
from tests.integration.inference.test_predict import numbers_of, of_lengths, predict
from tests.servers import wait_for


@pytest.fixture
def batches(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The lengths in each batch, in the order in which they ran."""
    seen: list[list[int]] = []
    predictions: Predictions = client.app.state.predictions  # type: ignore[attr-defined]
    work = predictions.batches.work

    def watched(lane: Lane, requests: Sequence[list[Any]]) -> Sequence[Any]:
        seen.append([len(array) for request in requests for array in request])
        return work(lane, requests)

    monkeypatch.setattr(predictions.batches, "work", watched)
    return seen


def until_all_wait(client: TestClient, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """No batch is worked on before so many requests have come."""
    batcher = client.app.state.predictions.batches  # type: ignore[attr-defined]
    work = batcher.work

    def patient(lane: Lane, requests: Sequence[list[Any]]) -> Sequence[Any]:
        assert wait_for(lambda: batcher.num_waiting >= number or began.is_set())
        began.set()
        return work(lane, requests)  # type: ignore[no-any-return]

    began = Event()
    monkeypatch.setattr(batcher, "work", patient)


def test_sixty_four_clients_of_mixed_lengths_get_what_each_gets_alone(
    client: TestClient, batches: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = of_lengths("class", [1 + (37 * n) % 90 for n in range(64)])
    alone = [predict(client, "class", [one])[0] for one in inputs]
    batches.clear()
    until_all_wait(client, monkeypatch, len(inputs))
    with ThreadPoolExecutor(64) as threads:
        together = list(threads.map(lambda one: predict(client, "class", [one])[0], inputs))

    for one, other in zip(together, alone, strict=True):
        assert numbers_of(one) == pytest.approx(numbers_of(other), rel=1e-5, abs=1e-5)
    assert sum(map(len, batches)) == 64
    assert all(max(lengths) < 2 * min(lengths) for lengths in batches)
    assert len(batches) < 32


def test_clients_of_both_protocols_run_together(
    client: TestClient, batches: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    number = 4 * CORES
    [series] = of_lengths("class", [5])
    tensor = {"name": "input", "datatype": "FP32", "shape": [1, 5, len(series[0])]}
    body = {"inputs": [{**tensor, "data": [value for step in series for value in step]}]}
    until_all_wait(client, monkeypatch, number)
    with ThreadPoolExecutor(number) as threads:
        ours = [threads.submit(predict, client, "class", [series]) for _ in range(number // 2)]
        theirs = [
            threads.submit(client.post, "/v2/models/class/infer", json=body)
            for _ in range(number // 2)
        ]
        told = [each.result()[0]["probabilities"] for each in ours]
        tensors = [each.result().json()["outputs"] for each in theirs]

    for each, (_, found) in zip(told, tensors, strict=True):
        assert sorted(found["data"]) == pytest.approx(sorted(each.values()), rel=1e-5)
    assert sum(map(len, batches)) == number
    assert len(batches) <= 2 * CORES  # those that came while nothing ran, and all others


def test_a_request_that_comes_alone_is_a_batch_of_its_own(
    client: TestClient, batches: list[list[int]]
) -> None:
    predict(client, "class", of_lengths("class", [5, 6, 50]))

    assert sorted(batches) == [[5, 6], [50]]


def test_a_full_queue_is_told_and_when_to_come_again(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions: Predictions = client.app.state.predictions  # type: ignore[attr-defined]
    monkeypatch.setattr(predictions.batches, "max_waiting", 0)
    refused = client.post("/v1/models/class/predict", json={"inputs": of_lengths("class", [5])})

    assert error_of(refused, 503)["code"] == "overloaded"
    assert int(refused.headers["retry-after"]) >= 1


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "nan", "4000"])
def test_a_deadline_that_is_none_is_refused(client: TestClient, seconds: str) -> None:
    body, headers = {"inputs": ["x"]}, {"x-timeout-s": seconds}
    response = client.post("/v1/models/tags/predict", json=body, headers=headers)

    assert error_of(response, 422)["param"] == "x-timeout-s"


def test_an_answer_that_is_late_is_503(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: Any) -> Any:
        raise AssertionError("the deadline is over before its turn")

    monkeypatch.setattr(predicting, "encoded", slow)
    body, headers = {"inputs": ["x"]}, {"x-timeout-s": "0.0000001"}
    response = client.post("/v1/models/tags/predict", json=body, headers=headers)

    assert error_of(response, 503)["code"] == "deadline_exceeded"
