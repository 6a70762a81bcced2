"""Made-up requests to every operation: no 5xx, no status and no body that is not announced."""

from collections.abc import Iterator

import pytest

from services.embedded.servers import Servers
from tests.fuzzing import UNLIMITED, Report, fill, fuzz
from tests.integration.seeding import seeded_servers, settings

NUM_CASES = 220  # `make fuzz` asks far more often


@pytest.fixture(scope="module")
def report(seeded_template: Servers) -> Iterator[Report]:
    with seeded_servers(seeded_template), settings(**UNLIMITED):
        found = Report()
        fuzz(NUM_CASES, fill(), found)
        yield found


@pytest.mark.filterwarnings("default")
def test_no_made_up_request_is_answered_otherwise_than_announced(report: Report) -> None:
    assert report.faults == {}
    assert [status for status in report.statuses if status >= 500] == []


def test_the_requests_reach_every_operation_and_many_kinds_of_answer(report: Report) -> None:
    assert len(report.operations) >= 30
    assert report.num_cases >= NUM_CASES
    assert {200, 201, 401, 404, 422} <= set(report.statuses)
