"""What no network can read: each mistake is told at its path, and nothing else breaks."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.inference.app import create_app
from shared.config import get_settings
from tests.integration.api.client import error_of, hold_to_contract
from tests.integration.inference.publishing import INPUTS
from tests.integration.seeding import settings

JSON = {"Content-Type": "application/json"}
INPUT_FAULTS: list[tuple[str, str, list[Any], str, str]] = [
    # what it is, model, inputs, path, words
    ("text for numbers", "class", ["abc"], "inputs.0", "list of numbers"),
    ("a number alone", "class", [3], "inputs.0", "list of numbers"),
    ("null", "class", [None], "inputs.0", "null"),
    ("an object", "tags", [{"input": "x"}], "inputs.0", "an object"),
    ("too few features", "class", [[[1.0], [2.0]]], "inputs.0.0", "expected 2 numbers a step"),
    ("a flat series", "class", [[1, 2, 3]], "inputs.0", "expected 2 numbers a step"),
    ("ragged features", "class", [[[1, 2], [3]]], "inputs.0.1", "ragged"),
    ("a word among numbers", "regression", [[1, "two"]], "inputs.0.1", "a string"),
    ("true among numbers", "regression", [[1, True]], "inputs.0.1", "true"),
    ("a huge number", "regression", [[1, 10**60]], "inputs.0.1", "too large"),
    ("an empty sequence", "class", [[]], "inputs.0", "empty"),
    ("an empty text", "tags", [""], "inputs.0", "empty"),
    ("a step without numbers", "class", [[[]]], "inputs.0.0", "without numbers"),
    ("numbers for text", "tags", [5], "inputs.0", "a number"),
    ("numbers among symbols", "list-of-symbols", [["C", 4]], "inputs.0.1", "a number"),
    ("text for symbols", "list-of-symbols", ["CEG"], "inputs.0", "list of strings"),
    ("the second of two", "tags", ["xyz", ""], "inputs.1", "empty"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "inputs", "path", "words"),
    [pytest.param(*fault[1:], id=fault[0]) for fault in INPUT_FAULTS],
)
def test_an_input_that_does_not_fit_is_refused_at_its_path(
    client: TestClient, model: str, inputs: list[Any], path: str, words: str
) -> None:
    error = error_of(client.post(f"/v1/models/{model}/predict", json={"inputs": inputs}), 422)

    assert error["param"] is not None
    assert error["param"].startswith(path)
    assert words in error["message"]


BODY_FAULTS: list[tuple[str, Any, str | None]] = [
    ("no inputs", {}, "inputs"),
    ("an empty list", {"inputs": []}, "inputs"),
    ("no list", {"inputs": "abc"}, "inputs"),
    ("an unknown field", {"inputs": ["x"], "instances": []}, "instances"),
    ("an unknown option", {"inputs": ["x"], "options": {"temperature": 2}}, "options.temperature"),
    ("options in a list", {"inputs": ["x"], "options": []}, "options"),
    ("a list", ["x"], None),
    ("text", "x", None),
]


@pytest.mark.parametrize(("body", "param"), [pytest.param(b, p, id=i) for i, b, p in BODY_FAULTS])
def test_a_body_in_another_form_is_refused_at_its_path(
    client: TestClient, body: Any, param: str | None
) -> None:
    assert error_of(client.post("/v1/models/tags/predict", json=body), 422)["param"] == param


@pytest.mark.parametrize(
    ("text", "param"),
    [
        ("[[1, NaN]]", "inputs.0.1"),
        ("[[1, Infinity]]", "inputs.0.1"),
        ("[[1, 1e999]]", "inputs.0.1"),
        ("[" * 60 + "]" * 60, "inputs.0.0.0"),
    ],
    ids=["NaN", "Infinity", "overflow", "depth"],
)
def test_what_only_json_text_can_hold_is_refused_at_its_path(
    client: TestClient, text: str, param: str
) -> None:
    body = f'{{"inputs": {text}}}'
    response = client.post("/v1/models/regression/predict", content=body, headers=JSON)

    assert error_of(response, 422)["param"] == param


@pytest.mark.parametrize(
    "body", [b"{", b'{"inputs": ["\xff"]}', b"[" * 50_000, b'{"inputs": [[' + b"9" * 5000 + b"]]}"]
)
def test_a_body_that_is_no_json_is_malformed(client: TestClient, body: bytes) -> None:
    response = client.post("/v1/models/tags/predict", content=body, headers=JSON)

    assert error_of(response, 400)["code"] == "malformed"


def test_half_a_surrogate_pair_is_an_unknown_symbol(client: TestClient) -> None:
    body = '{"inputs": ["\\ud83d", "?"]}'
    outputs = client.post("/v1/models/tags/predict", content=body, headers=JSON).json()["outputs"]

    assert outputs[0] == outputs[1]


def test_json_without_its_content_type_is_told_to_name_it(client: TestClient) -> None:
    response = client.post("/v1/models/tags/predict", content=b'{"inputs": ["x"]}')

    assert "Content-Type" in error_of(response, 400)["message"]


@pytest.mark.parametrize("path", ["/v1/models/%00/predict", "/v1/models/a%00b/versions/1/predict"])
def test_a_nul_in_a_path_is_malformed(client: TestClient, path: str) -> None:
    error_of(client.post(path, json={"inputs": ["x"]}), 400)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nothing"),
        ("GET", "/v1/models"),
        ("POST", "/v1/models/tags"),
        ("POST", "/v1/models/a/b/predict"),
    ],
)
def test_an_unknown_path_is_404(client: TestClient, method: str, path: str) -> None:
    error_of(client.request(method, path), 404)


def test_predicting_is_no_get(client: TestClient) -> None:
    response = client.get("/v1/models/tags/predict")

    error_of(response, 405)
    assert response.headers["allow"] == "POST"


@pytest.fixture
def limited(client: TestClient) -> Iterator[TestClient]:
    """The same models under small limits."""
    url = get_settings()
    with settings(
        database_url=url.database_url.get_secret_value(),
        redis_url=url.redis_url.get_secret_value(),
        max_predict_inputs="4",
        max_predict_elements="100",
        max_body_bytes="2000",
        api_keys="the-key",
    ):
        limited = TestClient(create_app(), headers={"Authorization": "Bearer the-key"})
        hold_to_contract(limited, create_app)
        yield limited


def post(client: TestClient, inputs: list[Any], **headers: str) -> Any:
    return client.post("/v1/models/tags/predict", json={"inputs": inputs}, headers=headers)


def test_as_many_inputs_as_allowed_are_answered_and_no_more(limited: TestClient) -> None:
    assert post(limited, ["x"] * 4).status_code == 200

    error = error_of(post(limited, ["x"] * 5), 422)
    assert error["param"] == "inputs"
    assert "at most 4" in error["message"]


def test_padding_counts_among_the_elements(limited: TestClient) -> None:
    assert post(limited, ["x" * 25, "x", "x", "x"]).status_code == 200

    assert error_of(post(limited, ["x" * 26, "x", "x", "x"]), 413)["param"] == "inputs"


def test_a_body_that_is_too_large_is_413(limited: TestClient) -> None:
    error_of(post(limited, ["x" * 3000]), 413)


def test_without_the_key_nothing_is_predicted(limited: TestClient) -> None:
    error_of(post(limited, ["x"], Authorization="Bearer other"), 401)
    error_of(post(limited, ["x"], Authorization=""), 401)
    assert limited.get("/healthz", headers={"Authorization": ""}).status_code == 200


def test_after_all_these_mistakes_the_service_answers(client: TestClient) -> None:
    assert post(client, [INPUTS["tags"]]).status_code == 200
    assert client.get("/readyz").status_code == 200
