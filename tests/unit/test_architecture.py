"""Who loads what, and how long code may be: the rules that no linter of ours knows."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from pkgutil import walk_packages
from statistics import median

import pytest

from shared.nn.kernels.limits import has_triton

ROOT = Path(__file__).parents[2]
FOLDERS = ("services", "workers", "shared", "migrations", "tests", "benchmarks")
MAX_FUNCTION_LINES, MAX_FILE_LINES = 50, 400
MAX_MEDIAN_LINES = 9
TRAINING = ("torch", "sklearn", "faker", "statsmodels", "pandas", "celery.worker", "celery.bin")
WITH_TRITON = "shared.nn.kernels.gpu"
SERVING = ("sqlalchemy", "psycopg", "fastapi", "celery", "redis", "alembic")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def python_files() -> list[Path]:
    return sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(), filename=str(file))


def functions() -> Iterator[tuple[str, int]]:
    """Where each function stands, and its number of lines."""
    for file in python_files():
        for node in ast.walk(parsed(file)):
            if isinstance(node, Function):
                assert node.end_lineno is not None
                where = f"{name_of(file)}:{node.lineno} {node.name}"
                yield where, node.end_lineno - node.lineno + 1


def loaded_after_importing(*modules: str) -> set[str]:
    """Names of all modules that a fresh interpreter holds afterwards."""
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\n"
    code += "sys.stdout.write('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code, *modules], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return set(done.stdout.split())


def modules_of(package: str) -> list[str]:
    folder = ROOT / package.replace(".", "/")
    return [package, *(found.name for found in walk_packages([str(folder)], f"{package}."))]


def test_the_api_loads_nothing_that_trains() -> None:
    loaded = loaded_after_importing("services.api.app")

    assert "services.api.app" in loaded
    assert loaded.isdisjoint(TRAINING)


def test_making_the_api_loads_nothing_that_trains() -> None:
    code = (
        "import sys; from services.api.app import create_app; create_app().openapi(); "
        "sys.stdout.write('\\n'.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )

    assert set(done.stdout.split()).isdisjoint(TRAINING)


def test_the_command_line_loads_nothing_that_trains_or_serves() -> None:
    loaded = loaded_after_importing("services.client.cli")

    assert loaded.isdisjoint(TRAINING)
    assert loaded.isdisjoint(SERVING)


@pytest.mark.parametrize("package", ["shared.nn", "shared.data"])
def test_networks_and_datasets_load_nothing_that_serves(package: str) -> None:
    here = [name for name in modules_of(package) if has_triton() or f"{WITH_TRITON}." not in name]

    loaded = loaded_after_importing(*here)

    assert len(here) > 5
    assert loaded.isdisjoint(SERVING)


def test_datasets_are_built_without_torch() -> None:
    without_torch = [name for name in modules_of("shared.data") if name != "shared.data.batching"]

    assert "torch" not in loaded_after_importing(*without_torch)


def test_no_function_is_longer_than_fifty_lines() -> None:
    assert [where for where, lines in functions() if lines > MAX_FUNCTION_LINES] == []


def test_half_of_the_functions_have_nine_lines_or_fewer() -> None:
    assert median(lines for _, lines in functions()) <= MAX_MEDIAN_LINES


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    sizes = {name_of(file): len(file.read_text().splitlines()) for file in python_files()}

    assert {name: lines for name, lines in sizes.items() if lines > MAX_FILE_LINES} == {}


def test_every_module_says_what_it_knows() -> None:
    silent = [
        name_of(file)
        for file in python_files()
        if parsed(file).body and not ast.get_docstring(parsed(file), clean=False)
    ]

    assert silent == []


def test_nothing_prints_but_the_command_line() -> None:
    prints = [
        f"{name_of(file)}:{node.lineno}"
        for file in python_files()
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "print"
    ]

    assert prints == []


def test_sql_is_written_in_the_stores_alone() -> None:
    writers = {
        file.relative_to(ROOT).parts[:2]
        for file in python_files()
        if file.relative_to(ROOT).parts[0] != "tests"
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sqlalchemy"
        for name in node.names
        if name.name in {"select", "update", "insert", "delete"}
    }

    assert writers == {("shared", "db")}
