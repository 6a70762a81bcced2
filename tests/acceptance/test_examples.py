"""Every example: whole as the service resolves it, and trained and asked in its smallest form."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.client.client import Job, UnrollClient
from services.standalone import Standalone
from shared.nn.spec import CELL_SPECS, Alignment, Mapping
from tests.acceptance.typed import ROOT, environment

EXAMPLES = sorted((ROOT / "examples").glob("*/*.yaml"))
COMMAND = re.compile(r"^#   (unroll .+)$", re.MULTILINE)
SMALL = 4
OVERRIDES = {"epochs": 1, "max_steps": 1, "schedule": "constant"}

by_name = pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)


def spec_of(example: Path) -> dict[str, Any]:
    spec: dict[str, Any] = yaml.safe_load(example.read_text())
    return spec


def smallest(spec: dict[str, Any]) -> dict[str, Any]:
    """The same job with few units and one step; everything else as the example has it."""
    sizes = spec["network"]["hidden_size"]
    small = [SMALL] * len(sizes) if isinstance(sizes, list) else SMALL
    network = {**spec["network"], "hidden_size": small}
    return {**spec, "network": network, "training": {**spec["training"], **OVERRIDES}}


def commands_of(example: Path) -> dict[str, str]:
    """What the head of an example tells one to type, by the command's first word or two."""
    found = COMMAND.findall(example.read_text())
    return {("predict" if "predict" in line else line.split()[1]): line for line in found}


@pytest.fixture(scope="module")
def client(stack: Standalone) -> Iterator[UnrollClient]:
    with UnrollClient(stack.api_url, inference_url=stack.inference_url) as open_client:
        yield open_client


@pytest.fixture(scope="module")
def sent(client: UnrollClient) -> UnrollClient:
    """The client once the data beside the examples has been uploaded."""
    for example in EXAMPLES:
        if upload := commands_of(example).get("datasets"):
            client.upload(ROOT / shlex.split(upload)[-1])
    return client


@pytest.fixture(scope="module")
def jobs(sent: UnrollClient) -> dict[str, str]:
    """Ids of all examples, queued in their smallest form for the one worker."""
    return {path.stem: sent.submit(smallest(spec_of(path))).id for path in EXAMPLES}


@pytest.fixture(scope="module")
def ended(sent: UnrollClient, jobs: dict[str, str]) -> dict[str, Job]:
    return {name: sent.wait(job_id, timeout_s=120) for name, job_id in jobs.items()}


def shown(example: Path) -> tuple[str, ...]:
    """What of the choices that a spec has this example shows."""
    spec = spec_of(example)
    cell = spec["network"]["cell"]
    cell = {"type": cell} if isinstance(cell, str) else cell
    options = [f"{cell['type']}.{name}={value}" for name, value in cell.items() if name != "type"]
    mapping = [spec[name] for name in ("alignment", "mapping") if name in spec]
    return (cell["type"], *options, *mapping, *spec["network"])


def test_there_is_an_example_of_every_mapping_cell_and_form_of_a_cell() -> None:
    found = {thing for example in EXAMPLES for thing in shown(example)}
    forms = {
        f"{name}.{option}={not field.default}"
        for name, spec in CELL_SPECS.items()
        for option, field in spec.model_fields.items()
        if field.annotation is bool
    }

    assert {*Mapping, *Alignment, *CELL_SPECS, *forms, "layer_norm"} <= found


@by_name
def test_an_example_resolves_whole_as_it_stands(example: Path, sent: UnrollClient) -> None:
    plan = sent.dry_run(spec_of(example))

    assert plan.spec["name"] == example.stem
    assert plan.steps > 100
    assert 100 < plan.num_parameters < 2_000_000


@by_name
def test_an_example_trains(example: Path, ended: dict[str, Job]) -> None:
    job = ended[example.stem]

    assert (job.status, job.error) == ("succeeded", None)
    assert job.progress.step == 1
    assert {"val/loss", "test/loss"} <= set(job.latest)


def test_the_commands_at_the_head_of_an_example_do_what_they_say(
    stack: Standalone, ended: dict[str, Job]
) -> None:
    asks = {path.stem: commands_of(path).get("predict") for path in EXAMPLES}
    lines = [line for line in asks.values() if line]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\necho ---\n".join(lines)],
        env=environment(stack),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert len(lines) == len(list((ROOT / "examples/mappings").iterdir()))
    assert [answer.strip() != "" for answer in done.stdout.split("---\n")] == [True] * len(lines)


@by_name
def test_the_head_of_an_example_names_the_example_itself(example: Path) -> None:
    commands = commands_of(example)
    spec = spec_of(example)

    assert commands["submit"] == f"unroll submit --file {example.relative_to(ROOT)} --watch"
    assert spec["name"] == example.stem
    assert f"unroll predict {spec['name']}" in commands.get(
        "predict", f"unroll predict {spec['name']}"
    )


def test_the_list_of_examples_names_each() -> None:
    index = (ROOT / "examples/README.md").read_text()
    listed = set(re.findall(r"^\| \[[^\]]+\]\(((?:mappings|cells)/[^)]+)\)", index, re.MULTILINE))

    assert listed == {str(path.relative_to(ROOT / "examples")) for path in EXAMPLES}
