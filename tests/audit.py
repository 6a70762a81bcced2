"""`python -m tests.audit`: whether a locked version has a known vulnerability, where one can ask."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[1] / "requirements.lock"
AT_MOST_S = 20
OUT_OF_REACH = "audit: the advisory service is not reachable from here; nothing was audited"


def ask(lock: Path = LOCK) -> str:
    """The report of pip-audit as JSON; empty when none came in time or the service is away."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--format", "json"]
    quick = ["--no-deps", "--disable-pip", "--timeout", "5", "--progress-spinner", "off"]
    try:
        done = subprocess.run(
            [*command, *quick], capture_output=True, text=True, timeout=AT_MOST_S, check=False
        )
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout


def verdict(report: str) -> tuple[int, list[str]]:
    """The exit code, and what to say: 1 for findings, 0 where there are none or nobody to ask."""
    found = json.loads(report)["dependencies"] if report.strip() else []
    known = [each for each in found if "skip_reason" not in each]
    if not known:
        return 0, [OUT_OF_REACH]
    bad = [each for each in known if each["vulns"]]
    unknown = len(found) - len(known)
    count = f"audit: {len(known)} locked versions looked up, {unknown} unknown to the service"
    return int(bool(bad)), [*map(_line, bad), f"{count}, {len(bad)} vulnerable"]


def _line(dependency: dict[str, Any]) -> str:
    faults = "; ".join(
        f"{fault['id']}, fixed in {', '.join(fault['fix_versions']) or 'no version yet'}"
        for fault in dependency["vulns"]
    )
    return f"{dependency['name']} {dependency['version']}: {faults}"


if __name__ == "__main__":
    code, lines = verdict(ask())
    sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(code)
