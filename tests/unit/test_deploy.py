"""The container files: valid, without secrets, and in step with the settings and the commands."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.config import Settings

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
COMPOSE_FILES = ("docker-compose.yml", "docker-compose.gpu.yml")
OURS = ("migrate", "api", "inference", "worker")
VARIABLE = re.compile(r"\$\{([A-Za-z_]+)(:?[-?][^}]*)?\}")
SECRET = re.compile(r"PASSWORD|KEY|SECRET|TOKEN")


def load(name: str) -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / name).read_text())
    assert isinstance(loaded, dict)
    return loaded


def services() -> dict[str, dict[str, Any]]:
    found = load("docker-compose.yml")["services"]
    assert isinstance(found, dict)
    return found


def variables(name: str) -> list[tuple[str, str]]:
    """Every `${NAME...}` of a compose file with what follows the name."""
    return VARIABLE.findall((ROOT / name).read_text())


def example_variables() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    found = (re.fullmatch(r"#?([A-Z_]+)=(.*)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def run(*command: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, **options)


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("vendor.compose-spec", "docker-compose.yml"),
        ("vendor.compose-spec", "docker-compose.gpu.yml"),
        ("vendor.github-workflows", ".github/workflows/ci.yml"),
    ],
)
def test_a_file_fits_the_schema_of_its_format(schema: str, file: str) -> None:
    checked = run(f"{BIN}/check-jsonschema", "--builtin-schema", schema, file)

    assert checked.returncode == 0, checked.stdout


def test_the_dockerfile_passes_its_linter() -> None:
    linted = run(f"{BIN}/hadolint", "Dockerfile")

    assert linted.returncode == 0, linted.stdout


def test_the_image_does_not_run_as_root() -> None:
    users = re.findall(r"^USER (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    assert users
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])


def test_the_image_gets_exactly_the_folders_that_the_package_is_made_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    copied = re.findall(r"^COPY (\w+) \1$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    context = re.findall(r"^!(\w+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)

    assert set(copied) == packages
    assert packages <= {*context}


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_every_variable_of_compose_is_in_the_example_and_safe_when_unset(name: str) -> None:
    found = variables(name)

    assert found
    for variable, rule in found:
        assert variable in example_variables(), f"{variable} is missing in .env.example"
        assert rule.startswith((":-", ":?")), f"{variable} has neither a default nor a demand"
        if SECRET.search(variable):
            assert rule.startswith(":?"), f"{variable} must be demanded, not defaulted"


def test_the_example_names_no_variable_that_nothing_reads_and_holds_no_secret() -> None:
    read = {variable for name in COMPOSE_FILES for variable, _ in variables(name)}
    settings = {f"UNROLL_{name.upper()}" for name in Settings.model_fields}
    example = example_variables()

    assert set(example) <= read | settings
    assert {name for name, value in example.items() if SECRET.search(name) and value} == set()


def test_the_example_shows_the_defaults_of_compose() -> None:
    defaults = {
        variable: rule[2:]
        for name in COMPOSE_FILES
        for variable, rule in variables(name)
        if rule.startswith(":-")
    }

    assert defaults
    assert {name: example_variables()[name] for name in defaults} == defaults


@pytest.mark.parametrize("name", OURS)
def test_every_setting_reaches_a_container_of_ours(name: str) -> None:
    settings = {f"UNROLL_{field.upper()}" for field in Settings.model_fields}

    assert set(services()[name]["environment"]) == settings


@pytest.mark.parametrize("name", OURS)
def test_a_container_runs_a_command_that_exists(name: str) -> None:
    program, word, *options = services()[name]["command"]
    shown = run(f"{BIN}/{program}", word, "--help", env={"COLUMNS": "100"})

    assert shown.returncode == 0, shown.stderr
    for option in options:
        if option.startswith("--"):
            assert option in shown.stdout


@pytest.mark.parametrize("name", [*OURS, "postgres", "valkey"])
def test_a_container_has_a_read_only_root_and_gains_no_privilege(name: str) -> None:
    service = services()[name]

    assert service["read_only"] is True
    assert "no-new-privileges:true" in service["security_opt"]
    assert not service.get("privileged")


@pytest.mark.parametrize("name", ["postgres", "valkey", "api", "inference"])
def test_a_container_that_answers_requests_has_a_health_check(name: str) -> None:
    assert services()[name]["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", ["api", "inference", "worker"])
def test_a_container_of_ours_waits_for_healthy_servers_and_the_schema(name: str) -> None:
    waits = {of: rule["condition"] for of, rule in services()[name]["depends_on"].items()}

    assert waits == {
        "postgres": "service_healthy",
        "valkey": "service_healthy",
        "migrate": "service_completed_successfully",
    }


def test_only_the_api_and_inference_are_published_and_on_this_machine_alone() -> None:
    ports = {name: service["ports"] for name, service in services().items() if "ports" in service}

    assert set(ports) == {"api", "inference"}
    assert all(port.startswith("${PUBLISH_ADDRESS:-127.0.0.1}:") for [port] in ports.values())


def test_data_lies_in_named_volumes_where_the_images_keep_it() -> None:
    composed = load("docker-compose.yml")

    assert set(composed["volumes"]) == {"postgres", "valkey"}
    assert services()["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]
    assert services()["valkey"]["volumes"] == ["valkey:/data"]


def test_the_worker_can_be_scaled() -> None:
    worker = services()["worker"]

    assert "container_name" not in worker
    assert "ports" not in worker


def test_only_the_override_asks_for_a_gpu() -> None:
    plain = (ROOT / "docker-compose.yml").read_text()
    override = load("docker-compose.gpu.yml")["services"]
    [device] = override["worker"]["deploy"]["resources"]["reservations"]["devices"]

    assert "gpu" not in plain.casefold()
    assert set(override) == {"worker"}
    assert device["capabilities"] == ["gpu"]


def test_both_ways_of_ci_say_the_same_words() -> None:
    script = re.findall(r"^make \w+$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    steps = load(".github/workflows/ci.yml")["jobs"]["test"]["steps"]

    assert script == ["make check", "make test"]
    assert [step["run"] for step in steps if "run" in step] == script


def test_a_missing_browser_is_said_with_the_remedy_and_fails(tmp_path: Path) -> None:
    for tool in ("sh", "cat", "id"):
        found = shutil.which(tool)
        assert found
        (tmp_path / tool).symlink_to(found)

    asked = run("sh", "tests/browser/install-chromium.sh", env={"PATH": str(tmp_path)})

    assert asked.returncode == 1
    assert "apt-get install chromium" in asked.stderr
    assert "make test" in asked.stderr


def test_a_browser_that_is_there_is_named(tmp_path: Path) -> None:
    browser = tmp_path / "google-chrome"
    browser.write_text("#!/bin/sh\n")
    browser.chmod(0o755)
    shell = shutil.which("sh")
    assert shell

    asked = run(shell, "tests/browser/install-chromium.sh", env={"PATH": str(tmp_path)})

    assert asked.returncode == 0
    assert asked.stdout.strip() == str(browser)
