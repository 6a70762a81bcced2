"""What the Open Inference Protocol cannot be read as: one string each, no fault of ours, no effect."""

import gzip
import json
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from services.inference.app import create_app
from shared.config import get_settings
from shared.db.engine import transaction
from shared.db.keys import KeyStore
from shared.scopes import Scope
from tests.integration.api.client import hold_to_contract
from tests.integration.seeding import settings

TAGS, CLASS = "/v2/models/tags/infer", "/v2/models/class/infer"
TEXT = {"name": "input", "shape": [1], "datatype": "BYTES", "data": ["xyz"]}
SERIES = {"name": "input", "shape": [1, 2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}
LENGTH = "Inference-Header-Content-Length"


def error_of(response: Any, status: int) -> str:
    assert response.status_code == status, response.text
    return str(response.json()["error"])


FAULTS: list[tuple[str, str, dict[str, Any], int, str]] = [
    # what it is, path, changes to the input, status, words
    ("another name", TAGS, {"name": "text"}, 422, "there is no input 'text'; there are input"),
    ("numbers for text", TAGS, {"datatype": "FP32", "data": [1.5]}, 422, "'input' is BYTES"),
    ("an axis too many", TAGS, {"shape": [1, 1]}, 422, "shape [-1], not [1, 1]"),
    ("no rows", TAGS, {"shape": [0], "data": []}, 422, "0 rows"),
    ("an unknown datatype", TAGS, {"datatype": "BF16"}, 400, "datatype 'BF16'"),
    ("too few elements", TAGS, {"shape": [3]}, 400, "1 elements where shape [3] has 3"),
    ("no data", TAGS, {"data": None}, 400, "data must be a list"),
    ("a number among strings", TAGS, {"data": [7]}, 400, "must be strings"),
    ("an empty text", TAGS, {"data": [""]}, 422, "empty"),
    ("a negative size", TAGS, {"shape": [-1]}, 422, "inputs.0.shape.0"),
    ("an endless shape", TAGS, {"shape": [1] * 9}, 422, "inputs.0.shape"),
    ("another width", CLASS, {"shape": [1, 1, 4]}, 422, "shape [-1, -1, 2]"),
    ("a string among numbers", CLASS, {"data": [1, "2", 3, 4]}, 400, "must be numbers"),
    ("true among numbers", CLASS, {"data": [1, True, 3, 4]}, 400, "must be numbers"),
    ("lists beside numbers", CLASS, {"data": [[1, 2], 3, 4]}, 400, "mixes lists"),
    ("no steps", CLASS, {"shape": [1, 0, 2], "data": []}, 422, "empty"),
    ("fractions of INT8", CLASS, {"datatype": "INT8", "data": [1.5, 1, 1, 1]}, 400, "whole numbers"),
    ("a huge number", CLASS, {"data": [10**60, 1, 1, 1]}, 422, "too large"),
    ("a huge whole number", CLASS, {"datatype": "INT64", "data": [2**70, 1, 1, 1]}, 400, "INT64"),
    ("bytes that are not there", CLASS, {"data": None, "parameters": {"binary_data_size": 16}}, 400, "follow the JSON"),
    ("data twice", CLASS, {"parameters": {"binary_data_size": 0}}, 400, "both given"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "changes", "status", "words"),
    [pytest.param(*fault[1:], id=fault[0]) for fault in FAULTS],
)
def test_a_tensor_that_does_not_fit_is_refused(
    client: TestClient, path: str, changes: dict[str, Any], status: int, words: str
) -> None:
    tensor = {**(TEXT if path == TAGS else SERIES), **changes}

    assert words in error_of(client.post(path, json={"inputs": [tensor]}), status)


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        ({"data": [3]}, "from 1 to 2"),
        ({"data": [0]}, "from 1 to 2"),
        ({"shape": [2], "data": [1, 1]}, "2 elements for 1 rows"),
        ({"datatype": "FP32", "data": [1.0]}, "'lengths' is INT64"),
    ],
)
def test_lengths_must_be_those_of_rows(
    client: TestClient, lengths: dict[str, Any], words: str
) -> None:
    second = {"name": "lengths", "shape": [1], "datatype": "INT64", **lengths}

    assert words in error_of(client.post(CLASS, json={"inputs": [SERIES, second]}), 422)


BODIES: list[tuple[bytes, dict[str, str], int, str]] = [
    (b"{", {}, 400, "not JSON"),
    (b"[]", {}, 422, "JSON object"),
    (b"{}", {}, 422, "inputs"),
    (b"\xff", {}, 400, "not JSON"),
    (b'{"inputs": []}', {}, 422, "inputs"),
    (b'{"inputs": ' + b"[" * 90 + b"]" * 90 + b"}", {}, 400, "nested deeper"),
    (json.dumps({"inputs": [TEXT, TEXT]}).encode(), {}, 400, "same name"),
    (json.dumps({"inputs": [TEXT], "id": 7}).encode(), {}, 422, "id"),
    (json.dumps({"inputs": [TEXT], "parameters": {"a": []}}).encode(), {}, 422, "parameters"),
    (json.dumps({"inputs": [TEXT]}).encode(), {LENGTH: "999"}, 400, LENGTH),
    (json.dumps({"inputs": [TEXT]}).encode(), {LENGTH: "-1"}, 400, LENGTH),
    (json.dumps({"inputs": [TEXT]}).encode(), {LENGTH: "9" * 5000}, 400, LENGTH),
    (json.dumps({"inputs": [TEXT]}).encode() + b"rest", {}, 400, "not JSON"),
    (b"no gzip", {"Content-Encoding": "gzip"}, 400, "Content-Encoding"),
    (b"{}", {"Content-Encoding": "br"}, 415, "gzip"),
    (gzip.compress(b" " * 20_000_000), {"Content-Encoding": "gzip"}, 413, "larger"),
]


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [pytest.param(*case, id=f"{number}-{case[3]}") for number, case in enumerate(BODIES)],
)
def test_a_body_that_is_no_request_is_refused(
    client: TestClient, body: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    assert words in error_of(client.post(TAGS, content=body, headers=headers), status)


def binary(raw: bytes, tensor: dict[str, Any], size: int | None = None) -> dict[str, Any]:
    """A request with one tensor behind its JSON."""
    facts = {key: value for key, value in tensor.items() if key != "data"}
    facts["parameters"] = {"binary_data_size": len(raw) if size is None else size}
    head = json.dumps({"inputs": [facts]}).encode()
    return {"content": head + raw, "headers": {LENGTH: str(len(head))}}


@pytest.mark.parametrize(
    ("raw", "tensor", "size", "words"),
    [
        (b"\x00" * 15, SERIES, None, "no whole number of FP32"),
        (b"\x00" * 12, SERIES, None, "3 elements"),
        (b"\x00" * 16, SERIES, 12, "3 elements"),
        (b"\x00" * 20, SERIES, 16, "belong to no input"),
        (b"\x00" * 16, SERIES, -1, "follow the JSON"),
        (b"\x09\x00\x00\x00xyz", TEXT, None, "end within an element"),
        (b"\x01\x00", TEXT, None, "end within an element"),
        (b"\xff\xff\xff\xff", TEXT, None, "end within an element"),
        (b"\x01\x00\x00\x00\xff", TEXT, None, "not UTF-8"),
    ],
)
def test_bytes_that_are_not_what_they_are_said_to_be_are_refused(
    client: TestClient, raw: bytes, tensor: dict[str, Any], size: int | None, words: str
) -> None:
    path = TAGS if tensor is TEXT else CLASS

    assert words in error_of(client.post(path, **binary(raw, tensor, size)), 400)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_in_binary_and_in_json(
    client: TestClient, number: float
) -> None:
    array = np.array([[[1, 2], [3, number]]], dtype="<f4")
    in_binary = client.post(CLASS, **binary(array.tobytes(), SERIES))
    text = json.dumps({"inputs": [{**SERIES, "data": array.tolist()}]}).encode()
    in_json = client.post(CLASS, content=text)

    assert "finite" in error_of(in_binary, 422)
    assert "inputs.0.1.1" in error_of(in_json, 422)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/nothing", 404),
        ("GET", "/v2/models", 404),
        ("GET", "/v2/models/tags/infer", 405),
        ("GET", "/v2/models/nothing/config", 404),
        ("GET", "/v2/models/nothing/stats", 404),
        ("GET", "/v2/models/tags/versions/9/stats", 404),
        ("GET", "/v2/models/%00/ready", 400),
        ("POST", "/v2/models/nothing/infer", 404),
        ("POST", "/v2/models/nothing/generate", 422),
    ],
)
def test_errors_of_every_kind_are_one_string(
    client: TestClient, method: str, path: str, status: int
) -> None:
    assert error_of(client.request(method, path, content=b"{}" * (method == "POST")), status)


def test_without_the_key_nothing_but_health_answers_under_v2(client: TestClient) -> None:
    url = get_settings()
    with settings(
        database_url=url.database_url.get_secret_value(),
        redis_url=url.redis_url.get_secret_value(),
        api_keys="the-key",
    ):
        guarded = TestClient(create_app())
        hold_to_contract(guarded, create_app)
        for method, path in (
            ("GET", "/v2"),
            ("GET", "/v2/"),
            ("GET", "/v2/models/tags"),
            ("POST", TAGS),
            ("POST", "/v2/repository/index"),
        ):
            assert "Bearer" in error_of(guarded.request(method, path), 401)
        assert guarded.get("/v2/health/live").json() == {"live": True}
        assert guarded.get("/v2/health/ready").json() == {"ready": True}
        key = {"Authorization": "Bearer the-key"}
        assert guarded.post(TAGS, json={"inputs": [TEXT]}, headers=key).status_code == 200


def test_a_key_sees_and_drops_its_own_models_alone(client: TestClient) -> None:
    with transaction() as db:
        _, secret = KeyStore(db).create("other", [Scope.INFER], None)
    other = {"Authorization": f"Bearer {secret}"}
    url = get_settings()
    with settings(
        database_url=url.database_url.get_secret_value(),
        redis_url=url.redis_url.get_secret_value(),
    ):
        guarded = TestClient(create_app())
        hold_to_contract(guarded, create_app)

        assert guarded.post("/v2/repository/index", headers=other).json() == []
        assert guarded.get("/v2/models/stats", headers=other).json() == {"model_stats": []}
        error_of(guarded.post("/v2/repository/models/tags/unload", headers=other), 404)
