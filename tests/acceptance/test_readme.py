"""What the README tells a newcomer to type, typed: its tested blocks, in order, in one shell."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from services.standalone import Standalone

ROOT = Path(__file__).parents[2]
TESTED = re.compile(r"^```bash tested\n(.+?)^```$", re.MULTILINE | re.DOTALL)
DEFAULT_API, DEFAULT_INFERENCE = "http://127.0.0.1:8000", "http://127.0.0.1:8001"


@pytest.fixture(scope="module")
def shown(stack: Standalone, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each tested block of the README prints, in their order."""
    blocks = TESTED.findall((ROOT / "README.md").read_text())
    script = "set -euo pipefail\n" + "printf '\\036'\n".join(blocks)
    script = script.replace(DEFAULT_API, stack.api_url)
    script = script.replace(DEFAULT_INFERENCE, stack.inference_url)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path_factory.mktemp("newcomer"),
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "UNROLL_API_URL": stack.api_url,
            "UNROLL_INFERENCE_URL": stack.inference_url,
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout.split("\036")


def test_the_readme_submits_a_job(shown: list[str]) -> None:
    assert '"status":"queued"' in shown[0]


def test_the_readme_waits_for_its_success(shown: list[str]) -> None:
    assert '"status":"succeeded"' in shown[1]


def test_the_readme_asks_the_network(shown: list[str]) -> None:
    assert shown[2].count('"label"') == 2


def test_the_readme_uploads_a_dataset(shown: list[str]) -> None:
    assert '"object":"dataset"' in shown[3]
    assert '"name":"words"' in shown[3]


def test_the_readme_does_the_same_from_a_shell(shown: list[str]) -> None:
    assert "surnames" in shown[4]
    assert re.search(r"\b(up|down)\b", shown[4])


def test_the_readme_compares_cells(shown: list[str]) -> None:
    assert len(shown) == 6
    assert {row.split("\t")[1] for row in shown[5].splitlines()} == {"ARM", "lstm", "gru", "mingru"}
