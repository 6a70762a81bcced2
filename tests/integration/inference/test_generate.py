"""Sequences that are shown while they are written: the same as at once, and no longer than wanted."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.client.events import lines_of, messages_of
from services.inference.generation import writer as writing
from services.inference.generation.router import Room
from tests.integration.api.client import error_of
from tests.integration.inference.publishing import INPUTS, WRITING, publish
from tests.integration.inference.test_predict import name_of, predict

WRITERS: dict[str, tuple[Any, dict[str, Any]]] = {  # model: input, options
    "rewritten": ("abc", {"max_length": 20}),
    "next-symbol": ("ab", {"max_length": 12}),
    "stream": ("to be", {"max_length": 30}),
}
SERIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "from-a-category": ("a", {}),
    "of-another-length": ([1, 2.5], {"max_length": 6}),
}


@pytest.fixture(scope="module", autouse=True)
def _writers(client: TestClient) -> None:
    for kind in WRITING:
        publish(name_of(kind), kind)


def generate(client: TestClient, model: str, given: Any, **options: Any) -> dict[str, Any]:
    body = {"input": given, "options": options}
    response = client.post(f"/v1/models/{model}/generate", json=body)
    assert response.status_code == 200, response.text
    output: dict[str, Any] = response.json()["output"]
    return output


def streamed(
    client: TestClient, model: str, given: Any, **options: Any
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The data of all token events, and of the last one."""
    body = {"input": given, "options": options, "stream": True}
    with client.stream("POST", f"/v1/models/{model}/generate", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        messages = list(messages_of(lines_of(response.iter_bytes())))
    *tokens, done = messages
    assert [message.type for message in messages] == ["token"] * len(tokens) + ["done"]
    return [json.loads(token.data[0]) for token in tokens], json.loads(done.data[0])


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("model", WRITERS)
def test_a_streamed_text_is_the_one_that_predict_gives(
    client: TestClient, model: str, seed: int | None
) -> None:
    given, options = WRITERS[model]
    options = {**options, **({} if seed is None else {"seed": seed})}
    body = {"inputs": [given], "options": options}
    [expected] = client.post(f"/v1/models/{model}/predict", json=body).json()["outputs"]
    tokens, done = streamed(client, model, given, **options)
    output = done["output"]

    assert output == generate(client, model, given, **options)
    assert output["text"] == expected["text"] == "".join(token["text"] for token in tokens)
    assert output["score"] == pytest.approx(expected["score"], abs=1e-6)
    assert [token["index"] for token in tokens] == list(range(len(tokens)))
    is_whole = len(tokens) == options["max_length"]
    assert output["finish_reason"] == ("length" if is_whole else "end")


@pytest.mark.parametrize("model", SERIES)
def test_a_streamed_series_is_the_one_that_predict_gives(client: TestClient, model: str) -> None:
    given, options = SERIES[model]
    body = {"inputs": [given], "options": options}
    [expected] = client.post(f"/v1/models/{model}/predict", json=body).json()["outputs"]
    steps, done = streamed(client, model, given, **options)

    assert done["output"]["values"] == pytest.approx(expected["values"], rel=1e-6)
    assert [step["value"] for step in steps] == done["output"]["values"]


@pytest.mark.parametrize("kind", ["next number", "next bits"])
def test_a_model_of_next_numbers_goes_on_from_its_own(client: TestClient, kind: str) -> None:
    series = list(INPUTS[kind])
    values = generate(client, name_of(kind), series, max_length=4)["values"]
    for value in values:
        output = predict(client, name_of(kind), [series])[0]
        if "values" in output:
            assert value == pytest.approx(output["values"][-1], abs=1e-4)
        else:
            assert value == [float(p > 0.5) for p in output["probabilities"][-1]]
        series.append(value)

    assert len(values) == 4


def test_a_text_ends_before_what_it_shall_stop_at(client: TestClient) -> None:
    whole = generate(client, "stream", "to be", max_length=30)["text"]
    stop = whole[10:13]
    tokens, done = streamed(client, "stream", "to be", max_length=30, stop=["\n\n", stop])

    assert done["output"]["text"] == whole[: whole.index(stop)]
    assert done["output"]["finish_reason"] == "stop"
    assert "".join(token["text"] for token in tokens) == done["output"]["text"]


@pytest.mark.parametrize(
    ("model", "given", "options", "param"),
    [
        ("class", [[1, 2]], {}, "options.max_length"),
        ("next-symbol", "ab", {"temperature": 1}, "options.max_length"),
        ("next-number", [1, 2], {}, "options.max_length"),
        ("next-number", [1, 2], {"max_length": 3, "seed": 1}, "options.seed"),
        ("from-a-category", "a", {"stop": ["x"]}, "options.stop"),
        ("rewritten", "abc", {"beam_size": 2}, "options"),
        ("rewritten", "", {}, "input"),
        ("next-symbol", "ab", {"max_length": 3, "stop": [""]}, "options.stop.0"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_first_event(
    client: TestClient, model: str, given: Any, options: dict[str, Any], param: str
) -> None:
    body = {"input": given, "options": options, "stream": True}
    response = client.post(f"/v1/models/{model}/generate", json=body)

    assert error_of(response, 422)["param"] == param


def test_a_sequence_that_takes_too_long_ends_with_an_error_event(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = watch_ends(monkeypatch)
    body = {"input": "to be", "options": {"max_length": 100_000}, "stream": True}
    headers = {"x-timeout-s": "0.2"}
    path = "/v1/models/stream/generate"
    with client.stream("POST", path, json=body, headers=headers) as response:
        *_, last = messages_of(lines_of(response.iter_bytes()))
    at_once = client.post(path, json={**body, "stream": False}, headers=headers)

    assert (last.type, json.loads(last.data[0])["code"]) == ("error", "deadline_exceeded")
    assert error_of(at_once, 503)["code"] == "deadline_exceeded"
    assert [length < 100_000 for length in closed] == [True, True]
    room: Room = client.app.state.room  # type: ignore[attr-defined]
    assert room.num_taken == 0


def watch_ends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many steps each text had when the work on it ended."""
    lengths: list[int] = []
    write = writing.TextWriter.__iter__

    def watched(self: writing.TextWriter) -> Iterator[Any]:
        try:
            yield from write(self)
        finally:
            lengths.append(len(self.logprobs))

    monkeypatch.setattr(writing.TextWriter, "__iter__", watched)
    return lengths
