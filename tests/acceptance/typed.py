"""What a document tells people to type, typed: its tested blocks, in order, in one shell."""

import os
import re
import subprocess
import sys
from pathlib import Path

from services.standalone import Standalone

ROOT = Path(__file__).parents[2]
TESTED = re.compile(r"^```bash tested\n(.+?)^```$", re.MULTILINE | re.DOTALL)
DEFAULT_API, DEFAULT_INFERENCE = "http://127.0.0.1:8000", "http://127.0.0.1:8001"
AT_MOST_S = 240
LARGEST_KIB = 100_000  # of a file that is written


def environment(stack: Standalone) -> dict[str, str]:
    """A newcomer's: the command on the PATH, and where the stack of the tests is."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "UNROLL_API_URL": stack.api_url,
        "UNROLL_INFERENCE_URL": stack.inference_url,
    }


def typed(document: str, stack: Standalone, folder: Path) -> list[str]:
    """What each tested block prints; the first command that fails is an assertion's failure."""
    blocks = TESTED.findall((ROOT / document).read_text())
    script = f"set -euo pipefail; ulimit -f {LARGEST_KIB}\n" + "printf '\\036'\n".join(blocks)
    script = script.replace(DEFAULT_API, stack.api_url)
    script = script.replace(DEFAULT_INFERENCE, stack.inference_url)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment(stack),
        capture_output=True,
        text=True,
        timeout=AT_MOST_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout.split("\036")
