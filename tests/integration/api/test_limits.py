"""How much, how deep and how often: past each bound, an answer that says so."""

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.embedded.servers import Servers
from services.http import rates
from services.http.bodies import MAX_DEPTH, Body, check_depth
from tests.integration.api.client import api_client, error_of
from tests.integration.seeding import seeded_servers, settings, spec
from tests.servers import wait_for

JSON = {"Content-Type": "application/json"}
PACK = {"gzip": gzip.compress, "deflate": zlib.compress}


@pytest.fixture(scope="module")
def client(seeded_template: Servers) -> Iterator[TestClient]:
    with seeded_servers(seeded_template), api_client() as client:
        yield client


def post(client: TestClient, body: bytes, **headers: str) -> Any:
    return client.post("/v1/jobs", content=body, headers={**JSON, **headers})


@pytest.mark.parametrize("encoding", PACK)
def test_a_packed_body_is_unpacked(client: TestClient, encoding: str) -> None:
    body = PACK[encoding](json.dumps(spec(name="packed")).encode())

    answer = post(client, body, **{"Content-Encoding": encoding})

    assert (answer.status_code, answer.json()["name"]) == (201, "packed")


@pytest.mark.parametrize("encoding", PACK)
def test_a_bomb_is_refused_and_never_unpacked_whole(
    client: TestClient, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    unpacked = Body._unpacked

    def measured(body: Body, *given: Any, **named: Any) -> bytes:
        data = unpacked(body, *given, **named)
        sizes.append(len(data))
        return data

    monkeypatch.setattr(Body, "_unpacked", measured)
    bomb = PACK[encoding](bytes(200 * 2**20))
    with settings(max_spec_bytes="300000"):
        error_of(post(client, bomb, **{"Content-Encoding": encoding}), 413)

    assert len(bomb) < 300_000
    assert sum(sizes) == 300_001


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"{}", "gzip", 400),
        (gzip.compress(b"{}" * 1000)[:-9], "gzip", 400),
        (gzip.compress(b"{}") + b"more", "gzip", 400),
        (b"{}", "br", 415),
        (b"{}", "gzip, gzip", 415),
    ],
    ids=["not packed", "cut off", "with more behind", "unknown", "packed twice"],
)
def test_what_cannot_be_unpacked_is_refused(
    client: TestClient, body: bytes, encoding: str, status: int
) -> None:
    error_of(post(client, body, **{"Content-Encoding": encoding}), status)


def test_an_upload_counts_what_it_holds_and_not_what_was_sent(client: TestClient) -> None:
    edge = b"--x\r\nContent-Disposition: form-data; name=file; filename=f\r\n\r\n"
    body = gzip.compress(edge + b"a" * 5000 + b"\r\n--x--\r\n")
    headers = {"Content-Type": "multipart/form-data; boundary=x", "Content-Encoding": "gzip"}
    with settings(max_upload_bytes="4096"):
        error_of(client.post("/v1/datasets", content=body, headers=headers), 413)

    assert len(body) < 4096


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 65 + b"]" * 65,
        b'{"a":' * 65 + b"1" + b"}" * 65,
        b"[" * 60_000,
        b'["\\"", ' * 65,
        b'{"metadata": ' + b"[" * 500 + b"]" * 500 + b"}",
    ],
)
def test_json_that_is_nested_too_deeply_is_refused(client: TestClient, body: bytes) -> None:
    assert f"{MAX_DEPTH} levels" in error_of(post(client, body), 400)["message"]


def test_brackets_in_texts_and_side_by_side_are_no_depth() -> None:
    check_depth(json.dumps(["[" * 1000 + '"{{\\' * 100, *[[1]] * 1000]).encode())
    check_depth(b"[" * 64 + b"]" * 64)
    check_depth(b'"' + b'\\"' * 500_000)  # no quadratic search for the end of a text


@pytest.fixture
def keyed() -> Iterator[TestClient]:
    limits = {"rate_limit_per_s": "0.01", "rate_limit_burst": "3"}
    with settings(**limits, api_keys="first,second"), api_client() as client:
        yield client


def statuses(client: TestClient, key: str, count: int) -> list[int]:
    headers = {"Authorization": f"Bearer {key}"}
    return [client.get("/v1/cells", headers=headers).status_code for _ in range(count)]


def test_a_key_that_asks_too_often_is_told_when_to_come_back_and_others_are_not(
    seeded: None, keyed: TestClient
) -> None:
    assert statuses(keyed, "first", 4) == [200, 200, 200, 429]
    refused = keyed.get("/v1/cells", headers={"Authorization": "Bearer first"})

    assert error_of(refused, 429)["code"] == "too_many_requests"
    assert 90 <= int(refused.headers["retry-after"]) <= 100
    assert statuses(keyed, "second", 1) == [200]
    assert keyed.get("/healthz").status_code == 200


def test_wrong_keys_and_logins_count_for_their_address(seeded: None, keyed: TestClient) -> None:
    page, headers = TestClient(keyed.app), {"Sec-Fetch-Site": "same-origin"}

    assert statuses(keyed, "wrong", 2) == [401, 401]
    logins = [
        page.post("/login", data={"key": "wrong"}, headers=headers).status_code for _ in range(2)
    ]
    assert logins == [401, 429]
    assert statuses(keyed, "wrong", 1) == [429]
    assert statuses(keyed, "first", 1) == [200]


def test_a_process_takes_a_fiftieth_of_the_tokens_at_once_and_uses_them_up(seeded: None) -> None:
    with settings(rate_limit_per_s="0.01", rate_limit_burst="100"):
        first, second = rates.RateLimiter(), rates.RateLimiter()
        kept = [first.take_kept("me")]
        first.take("me")
        kept += [first.take_kept("me"), first.take_kept("me"), second.take_kept("me")]
        for _ in range(98):
            second.take("me")
        with pytest.raises(rates.TooOften):
            second.take("me")

    assert kept == [False, True, False, False]


def test_tokens_come_back_with_time(seeded: None) -> None:
    def answers(status: int) -> bool:
        return bool(client.get("/v1/cells").status_code == status)

    with settings(rate_limit_per_s="4", rate_limit_burst="1"), api_client() as client:
        assert answers(200)
        assert wait_for(lambda: answers(429))
        assert wait_for(lambda: answers(200))


def test_without_its_broker_a_service_lets_everyone_pass(
    seeded: None, keyed: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(rates.log, "warning", lambda event, **_: said.append(event))
    monkeypatch.setenv("UNROLL_REDIS_URL", "redis://127.0.0.1:1/0")
    with settings():
        assert statuses(keyed, "first", 9) == [200] * 9

    assert said == ["requests are not counted while the broker is away"]
