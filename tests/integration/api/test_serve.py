"""The command that starts a service refuses an address that strangers reach."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("service", ["services.api", "services.inference"])
def test_a_service_refuses_to_start_open_to_the_world(seeded: None, service: str) -> None:
    command = [sys.executable, "-m", service, "--host", "0.0.0.0", "--port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert ended.returncode == 1
    assert ended.stderr.startswith("unroll: Refusing to listen on 0.0.0.0")
    assert "UNROLL_API_KEYS" in ended.stderr
