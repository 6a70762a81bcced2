"""Many clients at once: their requests run together, and each gets what it would get alone."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.inference import predicting
from services.inference.predicting import Lane, Predictions
from tests.integration.api.client import error_of
from tests.integration.inference.test_predict import numbers_of, of_lengths, predict


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


def test_sixty_four_clients_of_mixed_lengths_get_what_each_gets_alone(
    client: TestClient, batches: list[list[int]]
) -> None:
    inputs = of_lengths("class", [1 + (37 * n) % 90 for n in range(64)])
    alone = [predict(client, "class", [one])[0] for one in inputs]
    batches.clear()
    with ThreadPoolExecutor(64) as threads:
        together = list(threads.map(lambda one: predict(client, "class", [one])[0], inputs))

    for one, other in zip(together, alone, strict=True):
        assert numbers_of(one) == pytest.approx(numbers_of(other), rel=1e-5, abs=1e-5)
    assert sum(map(len, batches)) == 64
    assert all(max(lengths) < 2 * min(lengths) for lengths in batches)
    assert len(batches) < 64


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

    monkeypatch.setattr(predicting, "_encoded", slow)
    body, headers = {"inputs": ["x"]}, {"x-timeout-s": "0.0000001"}
    response = client.post("/v1/models/tags/predict", json=body, headers=headers)

    assert error_of(response, 503)["code"] == "deadline_exceeded"
