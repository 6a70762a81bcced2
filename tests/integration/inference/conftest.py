"""The inference service over a database of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastapi.testclient import TestClient

from services.embedded.servers import Servers
from services.inference.app import create_app
from tests.integration.api.client import hold_to_contract
from tests.integration.inference.publishing import KINDS, publish
from tests.integration.seeding import settings
from tests.servers import empty_valkey_database, fresh_database


@contextmanager
def inference_client() -> Iterator[TestClient]:
    """A service that looks up at every request which version a name means, and checks when asked."""
    app = create_app()
    app.state.checker.every_s = 3600.0
    app.state.registry.lookup_s = 0.0
    with TestClient(app) as client:
        hold_to_contract(client, create_app)
        yield client


@pytest.fixture(scope="module")
def client(_migrated_template: Servers) -> Iterator[TestClient]:
    """One model a kind of target, named after it."""
    with (
        fresh_database(_migrated_template) as database,
        empty_valkey_database(_migrated_template) as broker,
        settings(database_url=database, redis_url=broker),
    ):
        for kind in KINDS:
            publish(kind.replace(" ", "-"), kind)
        with inference_client() as client:
            yield client
