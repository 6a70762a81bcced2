"""What leaves a service and what it touches: headers, files, log lines."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from shared.db.engine import transaction
from shared.db.keys import KeyStore
from tests.servers import free_port, wait_for

MARK = "name-of-a-client"
NAMES = [f"../../{MARK}.csv", f"/tmp/{MARK}", f"..\\{MARK}", f"{MARK}\x00.jsonl", f"C:{MARK}.txt"]
FILE = b'{"input": "abc", "target": "x"}\n{"input": "cba", "target": "y"}\n' * 9
PASSWORD = "the-broker-password-0123"
OPERATOR = "the-operators-key-4567"
_touched: list[str] | None = None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _touched is not None and event in WATCHED:
        _touched.extend(str(argument) for argument in arguments)


WATCHED = {
    "open",
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.listdir",
    "os.symlink",
    "tempfile.mkstemp",
}
sys.addaudithook(_hook)


@contextmanager
def watched_files() -> Iterator[list[str]]:
    """Every path that this process opens or changes meanwhile."""
    global _touched  # noqa: PLW0603 -- an audit hook cannot be taken away again
    _touched = found = []
    try:
        yield found
    finally:
        _touched = None


def test_the_watch_sees_a_path(tmp_path: Any) -> None:
    with watched_files() as touched:
        (tmp_path / MARK).write_text("x")

    assert any(MARK in path for path in touched)


@pytest.mark.parametrize("name", NAMES)
def test_an_upload_touches_no_path_that_its_sender_named(client: TestClient, name: str) -> None:
    with watched_files() as touched:
        answers = [
            client.post("/v1/datasets", files={"file": (name, content)}, data={"name": MARK})
            for content in (FILE, b"a" * 3_000_000)  # the second is spooled to disk
        ]

    assert [answer.status_code < 500 for answer in answers] == [True, True]
    assert [path for path in touched if MARK in path] == []


@pytest.mark.parametrize(
    "path", ["/", "/login", "/docs", "/v1/jobs", "/v1/nothing", "/static/app.css"]
)
def test_every_answer_keeps_other_sites_out(client: TestClient, path: str) -> None:
    answer = client.get(path, headers={"Origin": "http://elsewhere.test"})

    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_other_sites_get_no_leave_to_ask(client: TestClient) -> None:
    asked = {"Origin": "http://elsewhere.test", "Access-Control-Request-Method": "POST"}
    answer = client.options("/v1/jobs", headers=asked)

    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("as_json", ["true", "false"])
def test_no_secret_comes_into_the_log(seeded: None, as_json: str) -> None:
    with transaction() as db:
        _, secret = KeyStore(db).create("logged", ["admin"])
    port = free_port()
    environment = {
        **os.environ,
        "UNROLL_API_KEYS": OPERATOR,
        "UNROLL_LOG_LEVEL": "DEBUG",
        "UNROLL_LOG_JSON": as_json,
        "UNROLL_REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:1/0",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "services.api", "--port", str(port)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        made = _use(f"http://127.0.0.1:{port}", secret)
    finally:
        process.terminate()
        log, _ = process.communicate(timeout=120)

    assert "/v1/keys" in log
    assert "the broker is away" in log
    for hidden in (secret, made, OPERATOR, PASSWORD, "a-wrong-key-89", "a-cookie-of-mine"):
        assert hidden not in log


def _use(url: str, secret: str) -> str:
    """Do all that handles a secret, also what fails; the secret of a key made meanwhile."""
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        assert wait_for(lambda: _answers(client), 120)
        mine = {"Authorization": f"Bearer {secret}"}
        made = client.post("/v1/keys", json={"name": "k"}, headers=mine)
        assert made.status_code == 201, made.text
        client.post("/v1/keys", json={"name": secret, "scopes": 1}, headers=mine)
        client.get("/v1/jobs", headers={"Authorization": "Bearer a-wrong-key-89"})
        client.get("/ui/jobs", headers={"Cookie": "unroll_login=a-cookie-of-mine"})
        page = {"Sec-Fetch-Site": "same-origin"}
        client.post("/login", data={"key": OPERATOR}, headers=page)
        client.post("/login", data={"key": "a-wrong-key-89"}, headers=page)
        client.get("/v1/jobs", params={"name_contains": "\x00"}, headers=mine)
        client.get("/readyz")
    return str(made.json()["secret"])


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False
