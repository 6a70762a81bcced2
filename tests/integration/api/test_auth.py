"""Who may come in, and that strangers are refused before anything of theirs is read."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from services.embedded.servers import Servers
from tests.integration.api.client import api_client, error_of
from tests.integration.seeding import count_rows, seeded_servers, settings, spec

KEY, OTHER = "first-key", "second-key"
REQUESTS = [
    ("GET", "/v1/cells"),
    ("GET", "/v1/jobs"),
    ("POST", "/v1/jobs"),
    ("GET", "/v1/jobs/job_1/events/stream"),
    ("POST", "/v1/jobs/job_1/cancel"),
    ("POST", "/v1/datasets"),
    ("GET", "/v1/checkpoints/ckpt_1/download"),
    ("GET", "/v1/models"),
    ("GET", "/v1/workers"),
    ("GET", "/v1/queue"),
    ("GET", "/v1/nothing"),
]


@pytest.fixture(scope="module")
def client(seeded_template: Servers) -> Iterator[TestClient]:
    with (
        seeded_servers(seeded_template),
        settings(api_keys=f" {KEY}, ,{OTHER} "),
        api_client() as client,
    ):
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize(("method", "path"), REQUESTS)
@pytest.mark.parametrize(
    "headers",
    [{}, bearer("wrong"), bearer(KEY + "x"), bearer(""), {"Authorization": f"Basic {KEY}"}],
    ids=["no key", "a wrong key", "a longer key", "an empty key", "another scheme"],
)
def test_without_a_known_key_nothing_is_answered(
    client: TestClient, method: str, path: str, headers: dict[str, str]
) -> None:
    response = client.request(method, path, headers=headers)

    assert error_of(response, 401)["code"] == "unauthorized"
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("key", [KEY, OTHER])
def test_each_key_opens_the_door(client: TestClient, key: str) -> None:
    assert client.get("/v1/jobs", headers=bearer(key)).status_code == 200


def test_a_stranger_is_refused_before_the_body_is_read(client: TestClient) -> None:
    sent = []

    def pieces() -> Iterator[bytes]:
        for _ in range(1000):
            sent.append(1)
            yield b"x" * 1024

    before = count_rows()
    malformed = client.post("/v1/jobs", content=b"{", headers={"Content-Type": "application/json"})
    error_of(malformed, 401)
    error_of(client.post("/v1/datasets", content=pieces()), 401)
    error_of(client.post("/v1/jobs", json=spec()), 401)

    assert count_rows() == before


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json"])
def test_health_and_the_description_need_no_key(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 200


def test_two_clients_may_choose_the_same_idempotency_key(client: TestClient) -> None:
    jobs = [
        client.post(
            "/v1/jobs", json=spec(name=key), headers={**bearer(key), "Idempotency-Key": "1"}
        ).json()
        for key in (KEY, OTHER)
    ]

    assert [job["name"] for job in jobs] == [KEY, OTHER]
