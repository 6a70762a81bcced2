"""What holds for every answer, whatever was asked."""

import json
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from structlog.testing import capture_logs

from services.api.app import create_app
from shared.config import get_settings
from shared.db.ids import new_id
from tests.integration.api.client import error_of, hold_to_contract
from tests.integration.seeding import count_rows, settings, spec

UNKNOWN = [
    "/v1/jobs/{job}",
    "/v1/jobs/{job}/events",
    "/v1/jobs/{job}/events/stream",
    "/v1/jobs/{job}/metrics",
    "/v1/jobs/{job}/metrics.csv",
    "/v1/jobs/{job}/checkpoints",
    "/v1/checkpoints/{ckpt}",
    "/v1/checkpoints/{ckpt}/download",
    "/v1/datasets/nothing",
    "/v1/datasets/nothing/preview",
    "/v1/models/nothing",
]


@pytest.mark.parametrize("path", UNKNOWN)
def test_what_is_not_there_is_404_before_anything_streams(
    shared_client: TestClient, path: str
) -> None:
    error = error_of(shared_client.get(path.format(job=new_id("job"), ckpt=new_id("ckpt"))), 404)

    assert error["code"] == "not_found"
    assert error["message"].startswith("There is no ")


@pytest.mark.parametrize(
    "name", ["a" * 3000, "%ff%fe", "../../etc/passwd%2f", "'; DROP TABLE jobs; --", "%F0%9F%98%80"]
)
def test_ids_that_no_one_made_are_404_with_a_short_message(
    shared_client: TestClient, name: str
) -> None:
    for path in ("/v1/jobs", "/v1/datasets", "/v1/models", "/v1/checkpoints"):
        error = error_of(shared_client.get(f"{path}/{name}"), 404)
        assert len(error["message"]) < 250


@pytest.mark.parametrize(
    "path",
    [
        "/v1/jobs/%00",
        "/v1/datasets/a%00b",
        "/v1/models/%00",
        "/v1/checkpoints/%00/download",
        "/v1/jobs/%00/events/stream",
    ],
)
def test_a_nul_in_a_path_is_malformed(shared_client: TestClient, path: str) -> None:
    assert error_of(shared_client.get(path), 400)["code"] == "malformed"


@pytest.mark.parametrize(
    "path", ["/nothing", "/v1", "/v1/", "/v1/nothing", "/v1/jobs/a/b/c", "/static/nothing.js"]
)
def test_an_unknown_path_is_404_in_the_same_form(shared_client: TestClient, path: str) -> None:
    error = error_of(shared_client.get(path), 404)

    assert path.rstrip("/") in error["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/jobs", "GET, POST"),
        ("DELETE", "/v1/queue", "GET"),
        ("GET", "/v1/jobs/x/cancel", "POST"),
        ("POST", "/v1/datasets/x", "GET, DELETE"),
    ],
)
def test_a_method_that_does_not_apply_is_405_and_says_what_does(
    shared_client: TestClient, method: str, path: str, allowed: str
) -> None:
    response = shared_client.request(method, path)

    error = error_of(response, 405)
    assert response.headers["allow"] == allowed
    assert path in error["message"]


MALFORMED = {
    "nothing but braces": b"{",
    "a trailing comma": b'{"dataset": "digits",}',
    "single quotes": b"{'dataset': 'digits'}",
    "not UTF-8": b'{"dataset": "\xff\xfe"}',
    "depth": b"[" * 50_000,
    "a number of 5000 digits": b'{"priority": ' + b"9" * 5000 + b"}",
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_body_that_is_no_json_is_400(shared_client: TestClient, body: bytes) -> None:
    response = shared_client.post(
        "/v1/jobs", content=body, headers={"Content-Type": "application/json"}
    )

    error = error_of(response, 400)
    assert error["code"] == "malformed"
    assert error["message"].startswith("The body is not JSON")


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "nonsense"]
)
def test_json_without_its_content_type_is_told_to_name_it(
    shared_client: TestClient, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    response = shared_client.post("/v1/jobs", content=json.dumps(spec()), headers=headers)

    assert "Content-Type: application/json" in error_of(response, 400)["message"]


@pytest.mark.parametrize("body", ["[]", '"text"', "3", "null", '[{"dataset": "digits"}]'])
def test_json_that_is_no_object_is_422(shared_client: TestClient, body: str) -> None:
    response = shared_client.post(
        "/v1/jobs", content=body, headers={"Content-Type": "application/json"}
    )

    assert error_of(response, 422)["message"].startswith("The body: ")


def test_no_body_at_all_is_422(shared_client: TestClient) -> None:
    assert error_of(shared_client.post("/v1/jobs"), 422)["message"] == "The body: This is required"


def test_every_answer_carries_headers_against_misuse_in_browsers(
    shared_client: TestClient,
) -> None:
    for path in ("/v1/jobs", "/nothing", "/healthz", "/v1/jobs/nothing"):
        headers = shared_client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers


def test_every_request_has_an_id_of_its_own(shared_client: TestClient) -> None:
    ids = {shared_client.get("/v1/cells").headers["x-request-id"] for _ in range(20)}

    assert len(ids) == 20


def test_a_fault_of_ours_is_500_with_an_id_and_without_a_trace(
    shared_client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("services.api.routers.workers.transaction", broken)
    client = TestClient(shared_client.app, raise_server_exceptions=False)
    with capture_logs() as logs:
        response = client.get("/v1/queue")

    assert response.status_code == 500
    assert response.headers["x-request-id"] == response.json()["error"]["request_id"]
    assert response.headers["x-frame-options"] == "DENY"
    assert "secret" not in response.text
    assert [str(entry["exc_info"]) for entry in logs if "exc_info" in entry] == ["secret"]


def test_cells_say_what_someone_choosing_one_wants_to_know(shared_client: TestClient) -> None:
    body = shared_client.get("/v1/cells").json()

    assert {"elman", "lstm", "gru"} <= {cell["type"] for cell in body["data"]}
    assert body["first_id"] == body["data"][0]["type"]
    for cell in body["data"]:
        assert cell["equation"]
        assert cell["reference"]
        assert cell["kernel"]
        assert isinstance(cell["streams"], bool)
        assert "H" in cell["parameters"]
        assert cell["options"]["properties"]["type"]["const"] == cell["type"]


class TestSizes:
    LIMIT = 2000

    @pytest.fixture
    def client(self, shared_client: TestClient) -> Iterator[TestClient]:
        # the same application: limits are read at every request
        url = get_settings()
        with settings(
            database_url=url.database_url.get_secret_value(),
            redis_url=url.redis_url.get_secret_value(),
            max_spec_bytes=str(self.LIMIT),
            max_upload_bytes=str(self.LIMIT),
        ):
            client = TestClient(create_app())
            hold_to_contract(client)
            yield client

    @pytest.mark.parametrize("path", ["/v1/jobs", "/v1/datasets"])
    def test_a_body_that_declares_too_much_is_413(self, client: TestClient, path: str) -> None:
        error = error_of(client.post(path, content=b" " * (self.LIMIT + 1)), 413)

        assert error["code"] == "too_large"
        assert str(self.LIMIT) in error["message"]

    @pytest.mark.parametrize("path", ["/v1/jobs", "/v1/datasets"])
    def test_a_body_that_declares_nothing_is_cut_off_as_soon_as_it_is_too_much(
        self, client: TestClient, path: str
    ) -> None:
        sent = []

        def pieces() -> Iterator[bytes]:
            for _ in range(100):
                sent.append(1)
                yield b'{"a": 1}' * 100

        multipart = "multipart/form-data; boundary=x"
        content_type = multipart if path == "/v1/datasets" else "application/json"
        response = client.post(path, content=pieces(), headers={"Content-Type": content_type})

        assert error_of(response, 413)["code"] == "too_large"

    def test_an_upload_that_is_too_large_leaves_nothing(self, client: TestClient) -> None:
        before = count_rows()
        file = b'{"input": "abcabcabc"}\n' * 500
        response = client.post(
            "/v1/datasets", files={"file": ("a.jsonl", file)}, data={"name": "large"}
        )

        error_of(response, 413)
        assert count_rows() == before

    def test_a_body_of_just_the_limit_is_taken(self, client: TestClient) -> None:
        text = json.dumps(spec())
        response = client.post(
            "/v1/jobs?dry_run=true",
            content=text.ljust(self.LIMIT),
            headers={"Content-Type": "application/json"},
        )

        assert response.status_code == 200
