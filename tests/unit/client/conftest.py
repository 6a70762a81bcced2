"""A stub service, and a client and a command line that can reach nothing else."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.client.cli import run
from services.client.client import UnrollClient
from shared.config import get_settings
from tests.unit.client.stub import Stub, running_stub


@pytest.fixture(autouse=True)
def _nothing_is_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("UNROLL_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture
def stub() -> Iterator[Stub]:
    with running_stub() as running:
        yield running


@pytest.fixture
def pauses() -> list[float]:
    """Seconds that the client would have slept."""
    return []


@pytest.fixture
def client(stub: Stub, pauses: list[float]) -> Iterator[UnrollClient]:
    with UnrollClient(stub.url, inference_url=stub.url, sleep=pauses.append) as open_client:
        yield open_client


@dataclass
class Result:
    code: int
    out: str
    err: str


@pytest.fixture
def unroll(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Runs a command line against the stub."""
    monkeypatch.setenv("UNROLL_API_URL", stub.url)
    monkeypatch.setenv("UNROLL_INFERENCE_URL", stub.url)

    def run_command(*arguments: str) -> Result:
        code = run(arguments)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run_command
