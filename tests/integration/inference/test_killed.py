"""The service is killed while a session goes on; another process takes over where it was."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import httpx
import numpy as np
import pytest

from services.embedded.servers import Servers
from tests.integration.inference.publishing import publish
from tests.integration.seeding import settings
from tests.servers import empty_valkey_database, free_port, fresh_database, wait_for

SERIES = [float(value) for value in np.random.default_rng(1).normal(size=400)]


@contextmanager
def service(port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """A real process that answers at the port."""
    command = [sys.executable, "-m", "services.inference", "--port", str(port)]
    process = subprocess.Popen(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL
    )
    try:
        assert wait_for(lambda: answers(port), timeout_s=120)
        yield process
    finally:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def published(_migrated_template: Servers) -> Iterator[None]:
    with (
        fresh_database(_migrated_template) as database,
        empty_valkey_database(_migrated_template) as broker,
        settings(database_url=database, redis_url=broker, rate_limit_per_s="0"),
    ):
        publish("net", "regression", cell="gru", num_layers=2)
        yield


class Stream(Thread):
    """Sends a series an element a request, until the service is gone."""

    def __init__(self, client: httpx.Client, path: str) -> None:
        super().__init__()
        self.client, self.path = client, path
        self.values: list[float] = []

    def run(self) -> None:
        try:
            for element in SERIES:
                answer = self.client.post(self.path, json={"inputs": [element]})
                self.values.append(answer.json()["outputs"][0]["value"])
        except httpx.TransportError:
            return


def test_a_session_outlives_the_process_that_was_killed_in_the_middle_of_it(
    published: None,
) -> None:
    port = free_port()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
        with service(port) as process:
            session = client.post("/v1/models/net/sessions").json()
            path = f"/v1/sessions/{session['id']}"
            stream = Stream(client, f"{path}/step")
            stream.start()
            assert wait_for(lambda: len(stream.values) > 40)
            process.send_signal(signal.SIGKILL)
            stream.join()
        with service(port):
            position = client.get(path).json()["position"]
            body = {"inputs": SERIES[position:], "position": position}
            outputs = client.post(f"{path}/step", json=body).json()["outputs"]
            whole = client.post("/v1/models/net/predict", json={"inputs": [SERIES]}).json()

    answered = len(stream.values)
    assert 40 < answered < len(SERIES)
    assert answered <= position <= answered + 1  # the one whose answer was lost may be stored
    assert len(outputs) == len(SERIES) - position
    assert outputs[-1]["value"] == pytest.approx(whole["outputs"][0]["value"], abs=1e-5)
