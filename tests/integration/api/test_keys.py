"""Keys: made, shown once, stored as a hash, limited by scope, ended by time or by hand."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from services.dashboard.access import COOKIE
from services.embedded.servers import Servers
from services.http import keys
from services.inference.app import create_app as create_inference
from shared.db.engine import transaction
from shared.db.keys import digest_of
from tests.integration.api.client import api_client, error_of, hold_to_contract
from tests.integration.seeding import execute, seeded_servers, settings, spec

OUR_PAGE = {"Sec-Fetch-Site": "same-origin", "X-Unroll-Page": "1"}
OPERATOR = {"Authorization": "Bearer the-operators-key"}
BODIES: dict[str, Any] = {"/v1/jobs": spec(), "/v1/keys": {"name": "k"}}


@pytest.fixture(scope="module")
def client(seeded_template: Servers) -> Iterator[TestClient]:
    with (
        seeded_servers(seeded_template),
        settings(api_keys="the-operators-key"),
        api_client() as client,
    ):
        yield client


@pytest.fixture
def inference(client: TestClient) -> Iterator[TestClient]:
    with TestClient(create_inference()) as inference:
        hold_to_contract(inference, create_inference)
        yield inference


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes what services remember as old as it may be; the clock of this process goes on."""

    def pass_() -> None:
        clock = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: clock() + keys.REMEMBERED_S)

    return pass_


def make(client: TestClient, *scopes: str, **fields: Any) -> dict[str, Any]:
    body = {"name": "someone", **({"scopes": scopes} if scopes else {}), **fields}
    answer = client.post("/v1/keys", json=body, headers=OPERATOR)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def bearer(key: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {key['secret']}"}


def everything_stored() -> str:
    """Every row of every table as text."""
    with transaction() as db:
        tables = db.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ).all()
        rows = [
            str(row) for t in tables for row in db.execute(text(f'SELECT x.*::text FROM "{t}" x'))
        ]
    return "\n".join(rows)


def test_a_secret_is_long_shown_once_and_stored_as_a_hash(client: TestClient) -> None:
    made = make(client)
    listed = client.get("/v1/keys", headers=OPERATOR)
    stored = everything_stored()

    assert len(made["secret"]) == len("unroll_") + 43
    assert made["secret"].startswith(made["prefix"])
    assert made["scopes"] == ["infer", "read", "submit"]
    assert made["secret"] not in listed.text
    assert listed.json()["data"][0]["prefix"] == made["prefix"]
    assert made["secret"] not in stored
    assert digest_of(made["secret"]) in stored


def test_two_secrets_are_never_alike(client: TestClient) -> None:
    assert make(client)["secret"] != make(client)["secret"]


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("read", {"GET /v1/jobs"}),
        ("submit", {"POST /v1/jobs"}),
        ("infer", set()),
        ("admin", {"GET /v1/jobs", "POST /v1/jobs", "GET /v1/keys", "POST /v1/keys"}),
    ],
)
def test_a_key_may_do_what_its_scope_says_and_is_told_what_it_lacks(
    client: TestClient, scope: str, allowed: set[str]
) -> None:
    key = bearer(make(client, scope))
    needed = {
        "GET /v1/jobs": "read",
        "POST /v1/jobs": "submit",
        "GET /v1/keys": "admin",
        "POST /v1/keys": "admin",
    }
    for request, scope_needed in needed.items():
        method, path = request.split()
        answer = client.request(method, path, json=BODIES.get(path), headers=key)

        if request in allowed:
            assert answer.status_code in (200, 201), answer.text
        else:
            error = error_of(answer, 403)
            assert f"'{scope_needed}'" in error["message"]


@pytest.mark.parametrize(("scope", "status"), [("read", 403), ("infer", 404), ("admin", 404)])
def test_the_inference_service_knows_the_same_keys(
    client: TestClient, inference: TestClient, scope: str, status: int
) -> None:
    path, body = "/v1/models/none/predict", {"inputs": ["a"]}

    assert (
        inference.post(path, json=body, headers=bearer(make(client, scope))).status_code == status
    )
    error_of(inference.post(path, json=body), 401)


@pytest.mark.parametrize(("scopes", "status"), [(["read"], 403), (["read", "infer"], 404)])
def test_a_login_of_the_dashboard_may_at_inference_what_its_key_may_until_its_end(
    client: TestClient, inference: TestClient, later: Any, scopes: list[str], status: int
) -> None:
    def ask(token: str) -> httpx.Response:
        headers = {"Authorization": f"Login {token}"}
        return inference.post("/v1/models/x/predict", json={"inputs": ["a"]}, headers=headers)

    form = {"key": make(client, *scopes)["secret"]}
    entered = client.post("/login", data=form, headers=OUR_PAGE, follow_redirects=False)
    token = entered.cookies[COOKIE]
    answer = ask(token)
    client.post("/logout", headers=OUR_PAGE, follow_redirects=False)
    later()

    assert answer.status_code == status
    error_of(ask(token), 401)
    error_of(ask("made-up"), 401)


def test_a_revoked_key_opens_nothing_five_seconds_later_in_either_service(
    client: TestClient, inference: TestClient, later: Any
) -> None:
    key = make(client)
    before = client.get("/v1/jobs", headers=bearer(key)).status_code
    inference.get("/v1/models/x", headers=bearer(key))

    for _ in range(2):  # a second time changes nothing
        revoked = client.delete(f"/v1/keys/{key['id']}", headers=OPERATOR)
    later()

    assert (before, revoked.status_code) == (200, 204)
    assert "revoked" in error_of(client.get("/v1/jobs", headers=bearer(key)), 401)["message"]
    error_of(inference.post("/v1/models/x/predict", headers=bearer(key)), 401)
    listed = client.get("/v1/keys", headers=OPERATOR).json()["data"]
    assert next(each for each in listed if each["id"] == key["id"])["revoked_at"] is not None


class InAnHour(datetime):
    """A clock that is ahead."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + timedelta(hours=1)


def test_a_key_ends_at_its_end_even_while_it_is_remembered(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=59)
    key = make(client, "read", expires_at=soon.isoformat())
    before = client.get("/v1/jobs", headers=bearer(key))
    monkeypatch.setattr(keys, "datetime", InAnHour)

    assert before.status_code == 200
    assert "expired" in error_of(client.get("/v1/jobs", headers=bearer(key)), 401)["message"]


def test_the_last_use_is_noted_once_a_minute(client: TestClient, later: Any) -> None:
    key = make(client, "read")

    def used() -> Any:
        client.get("/v1/jobs", headers=bearer(key))
        listed = client.get("/v1/keys", headers=OPERATOR).json()["data"]
        return next(each["last_used_at"] for each in listed if each["id"] == key["id"])

    first = used()
    later()
    again = used()
    execute("UPDATE api_keys SET last_used_at = last_used_at - interval '61 seconds'")
    later()
    after_a_minute = used()

    assert first is not None
    assert again == first
    assert after_a_minute > first


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["root"]}, "scopes.0"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2999-01-01T00:00:00"}, "expires_at"),
        ({"owner": "me"}, "owner"),
    ],
)
def test_a_bad_wish_is_refused_by_name(
    client: TestClient, fields: dict[str, Any], param: str
) -> None:
    answer = client.post("/v1/keys", json={"name": "k", **fields}, headers=OPERATOR)

    assert error_of(answer, 422)["param"] == param


def test_an_unknown_key_cannot_be_revoked(client: TestClient) -> None:
    error_of(client.delete("/v1/keys/key_1", headers=OPERATOR), 404)


def test_the_first_key_closes_an_open_service(seeded: None, later: Any) -> None:
    with settings(api_keys=""), api_client() as client:
        before = client.get("/v1/jobs").status_code
        secret = client.post("/v1/keys", json={"name": "k", "scopes": ["admin"]}).json()["secret"]
        later()
        error_of(client.get("/v1/jobs"), 401)
        key_id = client.get("/v1/keys", headers=bearer({"secret": secret})).json()["first_id"]
        client.delete(f"/v1/keys/{key_id}", headers=bearer({"secret": secret}))
        later()

        assert before == 200
        error_of(client.get("/v1/jobs"), 401)
