"""A large checkpoint goes from worker to Postgres and out again in bounded memory."""

import subprocess
import sys
from hashlib import sha256

import httpx
import pytest

from shared.db.checkpoints import CheckpointStore
from shared.db.engine import transaction
from tests.integration.workers.conftest import Submit, job_row
from tests.integration.workers.footprint import forget_peak, resident
from tests.servers import free_port, wait_for

MIB = 2**20
MOST_ABOVE = 64 * MIB
LARGE = {"hidden_size": [4096, 4096]}  # 17 million weights, which Adam makes 205 MB of


@pytest.fixture
def job_id(submit: Submit) -> str:
    return submit(
        "digits-flat",
        network=LARGE,
        training={"max_steps": 2, "optimizer": {"type": "adam"}},
        checkpoint={"every_steps": 1},
        model_name="large",
    )


def footprint() -> list[tuple[str, int]]:
    """Stages and their bytes, from a process of their own."""
    module = "tests.integration.workers.footprint"
    out = subprocess.run(
        [sys.executable, "-m", module], stdout=subprocess.PIPE, text=True, check=True, timeout=200
    ).stdout
    return [(stage, int(size)) for stage, size in (line.split() for line in out.splitlines())]


def test_two_hundred_megabytes_take_64_mib_above_their_tensors(job_id: str, redis_url: str) -> None:
    stages = footprint()
    most = dict(
        sorted(stages, key=lambda stage: stage[1])
    )  # of a stage that comes twice: the larger
    weights = most["weights"]
    with transaction() as db:
        checkpoint, blob = CheckpointStore(db).of_job(job_id)[0]

    assert job_row(job_id).status == "succeeded"
    assert [stage for stage, _ in stages] == ["save", "resume", "save", "finish", "load", "weights"]
    assert blob.bytes > 200e6
    assert most["save"] < MOST_ABOVE
    assert most["resume"] < blob.bytes - weights + MOST_ABOVE  # the optimizer's tensors are new
    assert most["finish"] < MOST_ABOVE
    assert weights <= most["load"] < weights + MOST_ABOVE
    assert_downloaded_in_bounded_memory(checkpoint.id, blob.sha256)


def assert_downloaded_in_bounded_memory(checkpoint_id: str, expected: str) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    api = subprocess.Popen(
        [sys.executable, "-m", "services.api", "--port", str(port)], stderr=subprocess.DEVNULL
    )
    try:
        assert wait_for(lambda: is_up(url), 120)
        before = resident("VmRSS", api.pid)
        forget_peak(api.pid)
        digest = sha256()
        with httpx.stream("GET", f"{url}/v1/checkpoints/{checkpoint_id}/download") as response:
            for piece in response.iter_bytes():
                digest.update(piece)
        grown = resident("VmHWM", api.pid) - before
    finally:
        api.terminate()
        api.wait()

    assert digest.hexdigest() == expected
    assert grown < MOST_ABOVE


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").status_code == 200
    except httpx.TransportError:
        return False
