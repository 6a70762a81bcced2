"""A client that holds every answer to the contract: announced, identified, errors in one form."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import httpx2 as httpx
from fastapi import FastAPI
from fastapi.testclient import TestClient

from services.api.app import create_app

UNENVELOPED = ("/readyz", "/metrics", "/healthz")


@contextmanager
def api_client(**options: Any) -> Iterator[TestClient]:
    """The API with its sweeper, asked in this process."""
    with TestClient(create_app(), **options) as client:
        hold_to_contract(client)
        yield client


def hold_to_contract(client: TestClient, make: Callable[[], FastAPI] = create_app) -> None:
    """Check every answer from now on, against the OpenAPI of what `make` makes."""
    announced = announced_statuses(make)

    def check(response: httpx.Response) -> None:
        method, path = response.request.method, response.request.url.path
        for (known_method, pattern), statuses in announced.items():
            if known_method == method and pattern.fullmatch(path):
                assert response.status_code in statuses, f"{method} {path} does not announce this"
                break
        assert re.fullmatch(r"req_[0-9a-f]{16}", response.headers["x-request-id"])
        if response.status_code >= 400 and path not in UNENVELOPED:
            response.read()
            (check_plain if path.startswith("/v2") else check_envelope)(response)

    client.event_hooks = {"response": [check]}


@lru_cache
def announced_statuses(
    make: Callable[[], FastAPI],
) -> dict[tuple[str, re.Pattern[str]], set[int]]:
    """Which statuses an application's OpenAPI names, by method and path."""
    return {
        (method.upper(), re.compile(re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(path)))): {
            int(status) for status in operation["responses"]
        }
        for path, operations in make().openapi()["paths"].items()
        for method, operation in operations.items()
    }


def check_envelope(response: httpx.Response) -> None:
    body = response.json()
    assert list(body) == ["error"]
    error = body["error"]
    assert set(error) - {"details"} == {"code", "message", "param", "request_id"}
    assert re.fullmatch(r"[a-z_]+", error["code"])
    assert error["message"]
    assert error["request_id"] == response.headers["x-request-id"]
    assert "Traceback" not in response.text
    assert response.status_code < 500 or response.status_code == 503
    if response.status_code == 409:
        assert response.headers["x-should-retry"] == "false"
    if response.status_code in (429, 503):
        assert int(response.headers["retry-after"]) >= 1


def check_plain(response: httpx.Response) -> None:
    """An error of the Open Inference Protocol: one string."""
    body = response.json()
    assert list(body) == ["error"]
    assert isinstance(body["error"], str)
    assert body["error"]
    assert response.status_code < 500 or response.status_code == 503


def error_of(response: httpx.Response, status: int) -> dict[str, Any]:
    """The error of an answer that must have this status."""
    assert response.status_code == status, response.text
    error: dict[str, Any] = response.json()["error"]
    return error
