"""The audit of locked versions: fails for findings, and says so when it could not ask."""

import json

from tests.audit import OUT_OF_REACH, verdict


def report(*dependencies: dict[str, object]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


FINE = {"name": "fine", "version": "1.0", "vulns": []}
UNKNOWN = {"name": "unknown", "skip_reason": "not found"}
BAD = {
    "name": "bad",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}, {"id": "PYSEC-2", "fix_versions": []}],
}


def test_a_finding_fails_and_names_its_remedy() -> None:
    code, lines = verdict(report(FINE, BAD, UNKNOWN))

    assert code == 1
    assert lines[0] == "bad 1.0: PYSEC-1, fixed in 1.1; PYSEC-2, fixed in no version yet"
    assert lines[-1] == "audit: 2 locked versions looked up, 1 unknown to the service, 1 vulnerable"


def test_no_finding_passes() -> None:
    assert verdict(report(FINE, UNKNOWN))[0] == 0


def test_nobody_to_ask_passes_and_says_so() -> None:
    assert verdict("") == (0, [OUT_OF_REACH])
    assert verdict(report(UNKNOWN, UNKNOWN)) == (0, [OUT_OF_REACH])
