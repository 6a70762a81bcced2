"""The first key, as the documents tell a newcomer to make and use it: command, curl, dashboard."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx

from services.standalone import Standalone
from tests.servers import throw_away_stack, wait_for

DOCS = Path(__file__).parents[2] / "docs" / "operating.md"
TESTED = re.compile(r"^```bash tested\n(.+?)^```$", re.MULTILINE | re.DOTALL)


def as_documented(stack: Standalone) -> str:
    """What the tested block of the documents prints."""
    (script,) = TESTED.findall(DOCS.read_text())
    done = subprocess.run(
        ["bash", "-euc", script.replace("http://127.0.0.1:8000", stack.api_url)],
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(DOCS.parents[1]),
            "UNROLL_STATE_DIR": str(stack.options.state_dir),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_key_opens_the_command_curl_and_the_dashboard_and_closes_the_rest() -> None:
    with throw_away_stack(workers=0) as stack, httpx.Client(base_url=stack.api_url) as browser:
        assert browser.get("/v1/jobs").status_code == 200
        listed, secret, answered = as_documented(stack).splitlines()
        assert wait_for(lambda: browser.get("/v1/jobs").status_code == 401)

        asked = browser.get("/")
        headers = {"Sec-Fetch-Site": "same-origin"}
        browser.post("/login", data={"key": secret}, headers=headers)
        shown = browser.get("/")

        assert listed.startswith("ID\t")
        assert '"object":"list"' in answered
        assert re.fullmatch(r"unroll_[\w-]{43}", secret)
        assert (asked.status_code, asked.headers["location"]) == (303, "/login?next=%2F")
        assert shown.status_code == 200
        assert "Log out" in shown.text
