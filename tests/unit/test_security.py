"""What no code of ours may do, read from the code itself."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = [path for name in ("services", "workers", "shared", "migrations", "benchmarks")
        for path in sorted((ROOT / name).rglob("*.py"))]  # fmt: skip
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNSAFE_CALLS = re.compile(
    r"\b(torch\.(load|save|jit\.load)|yaml\.(unsafe_)?load|read_pickle|exec|os\.system)\("
    r"|(?<![.\w])eval\("  # a network's own .eval() is another word
    r"|allow_pickle=True|shell=True|weights_only=False"
)


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_nothing_reads_or_writes_what_runs_code_when_it_is_read() -> None:
    assert len(OURS) > 150
    assert {
        str(path): imported(path) & UNSAFE_MODULES
        for path in OURS
        if imported(path) & UNSAFE_MODULES
    } == {}


def test_nothing_calls_what_runs_what_it_is_given() -> None:
    found = {
        str(path): bad
        for path in OURS
        if (bad := [line for line in path.read_text().splitlines() if UNSAFE_CALLS.search(line)])
    }

    assert found == {}


@pytest.mark.parametrize(
    "line", ["torch.load(x)", "np.load(f, allow_pickle=True)", "yaml.load(t)", "eval(t)"]
)
def test_the_search_finds_what_it_is_for(line: str) -> None:
    assert UNSAFE_CALLS.search(line)


def test_the_search_passes_over_what_only_looks_like_it() -> None:
    assert not UNSAFE_CALLS.search("network.eval()")


def test_tasks_take_json_and_nothing_else() -> None:
    from shared.queue import make_celery

    celery = make_celery()

    assert celery.conf.task_serializer == "json"
    assert list(celery.conf.accept_content) == ["json"]
