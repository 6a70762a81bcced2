"""Databases that hold small datasets already; building them once is what takes time."""

from collections.abc import Iterator

import pytest

from services.embedded.servers import Servers
from tests.integration.seeding import make_seeded_template, seeded_servers


@pytest.fixture(scope="session")
def seeded_template(_migrated_template: Servers) -> Servers:
    make_seeded_template(_migrated_template)
    return _migrated_template


@pytest.fixture
def seeded(seeded_template: Servers) -> Iterator[None]:
    """A database with three datasets and an empty broker, which the settings point to."""
    with seeded_servers(seeded_template):
        yield
