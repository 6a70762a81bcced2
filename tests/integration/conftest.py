"""Databases that hold small datasets already; building them once is what takes time."""

from collections.abc import Iterator

import pytest

from services.embedded.servers import Servers
from tests.integration.seeding import (
    SEEDED,
    make_seeded_template,
    pointed_to,
    take_away_all_but_datasets,
)
from tests.servers import fresh_database


@pytest.fixture(scope="session")
def seeded_template(_migrated_template: Servers) -> Servers:
    make_seeded_template(_migrated_template)
    return _migrated_template


@pytest.fixture(scope="session")
def _seeded_database(seeded_template: Servers) -> Iterator[str]:
    with fresh_database(seeded_template, SEEDED) as url:
        yield url


@pytest.fixture
def seeded(seeded_template: Servers, _seeded_database: str) -> Iterator[None]:
    """A database with three datasets and an empty broker, which the settings point to."""
    with pointed_to(seeded_template, _seeded_database):
        yield
        take_away_all_but_datasets()
