"""The API over a database with datasets and an empty broker."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from services.embedded.servers import Servers
from tests.integration.api.client import api_client
from tests.integration.seeding import seeded_servers


@pytest.fixture
def client(seeded: None) -> Iterator[TestClient]:
    with api_client() as client:
        yield client


@pytest.fixture(scope="module")
def shared_client(seeded_template: Servers) -> Iterator[TestClient]:
    """One client and database for the tests of a module that leave nothing behind."""
    with seeded_servers(seeded_template), api_client() as client:
        yield client
