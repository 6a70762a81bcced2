"""What an installation holds, and that the lock agrees with what the project asks for."""

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGES = ("services", "workers", "shared", "migrations")
NOT_SHIPPED = ("__pycache__", ".keep")
OF_A_BUILD = ("nvidia-", "cuda-", "triton")
"""What only some builds of torch bring; each pins its own exactly."""
UNLOCKED = {"pip", "setuptools"}  # pip leaves them out of what it lists


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files in a folder of their own, far from the source tree."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().split()
    return {canonicalize_name(name): version for name, version in (x.split("==") for x in lines)}


def wanted(project: dict[str, Any]) -> list[Requirement]:
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    return [Requirement(line) for line in (*project["dependencies"], *extras)]


def needed(requirement: Requirement, seen: set[str]) -> set[str]:
    """Adds to `seen` the names of a requirement and of all that it needs on this machine."""
    name = canonicalize_name(requirement.name)
    if name not in seen and not name.startswith(OF_A_BUILD) and name not in UNLOCKED:
        seen.add(name)
        for line in requires(name) or []:
            below = Requirement(line)
            environments = [{"extra": extra} for extra in ("", *requirement.extras)]
            if not below.marker or any(map(below.marker.evaluate, environments)):
                needed(below, seen)
    return seen


def run_installed(installed: Path, code: str) -> str:
    """What a program prints that knows the installed files and not the source tree."""
    program = f"import sys; sys.path.insert(0, {str(installed)!r}); {code}"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=installed, check=True, capture_output=True, text=True
    )
    return done.stdout


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    shipped = set(zipfile.ZipFile(wheel).namelist())
    present = {
        str(file.relative_to(ROOT))
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and not any(part in NOT_SHIPPED for part in file.parts)
    }

    assert len(present) > 50
    assert present <= shipped


def test_the_wheel_holds_no_tests_and_the_licence(wheel: Path) -> None:
    shipped = zipfile.ZipFile(wheel).namelist()

    assert not [name for name in shipped if name.startswith("tests/")]
    assert [name for name in shipped if name.endswith(".dist-info/licenses/LICENSE")]


def test_the_command_starts_from_an_installation(installed: Path) -> None:
    code = (
        "sys.argv = ['unroll', 'worker', '--help']; import services.client.cli as cli; "
        f"assert cli.__file__.startswith({str(installed)!r}); cli.main()"
    )

    assert "--concurrency" in run_installed(installed, code)


def test_migrations_are_found_in_an_installation(installed: Path) -> None:
    code = "from shared.db.migrate import newest_revision; sys.stdout.write(newest_revision())"
    newest = max(file.name for file in (ROOT / "migrations/versions").glob("[0-9]*.py"))

    assert newest.startswith(run_installed(installed, code))


def test_the_product_can_never_be_uploaded_to_an_index(project: dict[str, Any]) -> None:
    assert "Private :: Do Not Upload" in project["classifiers"]


def test_every_dependency_is_locked_at_a_version_that_the_project_accepts(
    project: dict[str, Any],
) -> None:
    lock = locked()

    for requirement in wanted(project):
        version = lock.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is missing in requirements.lock: run `make lock`"
        assert requirement.specifier.contains(version), f"{requirement} is locked at {version}"


def test_what_the_dependencies_need_is_locked_too(project: dict[str, Any]) -> None:
    names: set[str] = set()
    for requirement in wanted(project):
        needed(requirement, names)

    assert sorted(names - set(locked())) == [], "run `make lock`"


def test_the_lock_is_sorted_and_names_no_build_and_no_place() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()

    names = [line.split("==")[0] for line in lines]

    assert names == sorted(names, key=str.lower)
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


def test_torch_is_pinned_exactly(project: dict[str, Any]) -> None:
    [torch] = [line for line in wanted(project) if line.name == "torch"]

    assert [specifier.operator for specifier in torch.specifier] == ["=="]
