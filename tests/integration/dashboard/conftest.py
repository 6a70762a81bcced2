"""The dashboard in this process, open to all or closed to those without a key."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from tests.conftest import forget_settings

OUR_PAGE = {"Sec-Fetch-Site": "same-origin", "X-Unroll-Page": "1"}
KEY = "a-key-of-this-test"


@pytest.fixture
def client(database_url: str) -> TestClient:
    from services.api.app import create_app

    return TestClient(create_app(), base_url="http://unroll.test", follow_redirects=False)


@pytest.fixture
def guarded(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The same, with keys configured."""
    monkeypatch.setenv("UNROLL_API_KEYS", KEY)
    forget_settings()
    yield client
    monkeypatch.undo()
