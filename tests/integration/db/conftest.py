"""Jobs that wait, in a database of the test's own."""

from collections.abc import Callable

import pytest

from shared.db.datasets import DatasetStore, facts_of
from shared.db.engine import transaction
from shared.db.jobs import JobStore
from shared.jobs.resolve import estimate, resolve
from shared.jobs.spec import JobSpec
from tests.integration.seeding import spec

Enqueue = Callable[..., list[str]]


@pytest.fixture
def enqueue(seeded: None) -> Enqueue:
    """Queue `count` jobs as the API does, without a message; returns their ids."""

    def add(count: int = 1, **changes: object) -> list[str]:
        wanted = JobSpec.model_validate(spec("copy-5", **changes))
        with transaction() as db:
            facts = facts_of(DatasetStore(db).get("copy-5"))
            resolved = resolve(wanted, facts)
            cost = estimate(resolved, facts)
            return [JobStore(db).add(resolved, facts.id, cost).id for _ in range(count)]

    return add
