"""What the README tells a newcomer to type, typed: its tested blocks, in order, in one shell."""

import re

import pytest

from services.standalone import Standalone
from tests.acceptance.typed import typed


@pytest.fixture(scope="module")
def shown(stack: Standalone, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each tested block of the README prints, in their order."""
    return typed("README.md", stack, tmp_path_factory.mktemp("newcomer"))


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
