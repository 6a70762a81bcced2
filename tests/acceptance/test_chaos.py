"""Everything is struck while jobs train; the whole trial is `python -m benchmarks.chaos`."""

from collections.abc import Iterator

import pytest

from benchmarks.chaos.service import SETTINGS
from benchmarks.chaos.trial import Trial, run
from services.standalone import StandaloneOptions
from tests.conftest import forget_settings
from tests.servers import free_port, state_directory


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandaloneOptions]:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    forget_settings()
    with state_directory() as path:
        yield StandaloneOptions(path, port=free_port(), inference_port=free_port(), workers=2)
    forget_settings()


def test_jobs_survive_whatever_is_killed_flushed_or_restarted(options: StandaloneOptions) -> None:
    outcome = run(Trial(num_jobs=6, seconds=10, num_seeds=1, patience_s=120), options)

    assert {f.what: f.violations for f in outcome.findings if f.violations} == {}
    assert outcome.done["jobs"] == outcome.done["attempts: succeeded"] == 6
    assert outcome.done["Postgres restarted after an immediate shutdown"] == 1
    assert outcome.done["Valkey flushed"] == outcome.done["Valkey restarted"] == 1
    assert outcome.done["API killed and restarted"] == 1
    assert sum(number for what, number in outcome.done.items() if "killed" in what) > 2
