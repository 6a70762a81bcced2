"""The documents keep up with the code: settings, routes, words of make, links."""

import json
import os
import re
import subprocess
from itertools import chain
from pathlib import Path
from typing import Any, get_args
from xml.etree.ElementTree import fromstring

import pytest
import torch
from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from services.api.app import create_app
from services.client.commands.spec import OPTIONS
from services.inference.app import create_app as create_inference_app
from shared.config import Settings
from shared.data.builtin import BUILTINS
from shared.jobs.experiments import ExperimentSpec
from shared.jobs.schedules import ScheduleSpec
from shared.jobs.spec import JobSpec
from shared.nn import spec as nn_spec
from shared.nn.cells.base import CellOptions
from shared.nn.spec import CELL_SPECS, Mapping, Spec

ROOT = Path(__file__).parents[2]
METHODS = {"get", "post", "put", "patch", "delete"}
ROW = re.compile(r"^\| `(UNROLL_\w+)` \| (.+?) \| (.+) \|$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE_FILE = re.compile(
    r"`((?:shared|services|workers|migrations|tests|benchmarks|examples)/[\w./-]+)`"
)
ADDING, TO_BE_WRITTEN = "docs/adding-a-cell.md", "shared/nn/cells/leaky.py"
PICTURES = sorted((ROOT / "docs/images").glob("*.svg"))
PUBLIC_WORD = re.compile(r"^([a-z]+):.*?## (.+)$", re.MULTILINE)


def read(name: str) -> str:
    return (ROOT / name).read_text()


def documents() -> list[Path]:
    folders = (sorted((ROOT / folder).rglob("*.md")) for folder in ("docs", "examples"))
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *chain(*folders)]


def written(default: object) -> str:
    """A default as the table of settings has it."""
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if default in ((), None, ""):
        return "none"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def routes() -> list[str]:
    """Every route of both services as the documents write it."""
    schemas = (create_app().openapi(), create_inference_app().openapi())
    return sorted(
        {
            f"`{method.upper()} {path}`"
            for schema in schemas
            for path, operations in schema["paths"].items()
            for method in operations
            if method in METHODS
        }
    )


def anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_setting_stands_in_the_table_with_its_default() -> None:
    table = {name: default for name, default, _ in ROW.findall(read("docs/operating.md"))}
    settings = {
        f"UNROLL_{name.upper()}": written(field.default)
        for name, field in Settings.model_fields.items()
    }

    assert PydanticUndefined not in {field.default for field in Settings.model_fields.values()}
    assert table == settings


def test_every_route_is_documented() -> None:
    found = routes()
    text = read("docs/http.md")

    assert len(found) > 20
    assert [route for route in found if route not in text] == []


def test_no_route_is_documented_that_is_not_there() -> None:
    documented = re.findall(r"^\| (`[A-Z]+ /\S*`) \|", read("docs/http.md"), re.MULTILINE)

    assert documented
    assert sorted(set(documented) - set(routes())) == []


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    for link in LINK.findall(document.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path) if path else document

        assert target.exists(), f"{document.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{document.name} links to {link}"


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_of_the_code_that_is_named_is_there(document: Path) -> None:
    named = set(CODE_FILE.findall(document.read_text())) - {TO_BE_WRITTEN}

    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_document_is_in_the_index() -> None:
    index = LINK.findall(read("docs/README.md"))
    pages = {file.name for file in (ROOT / "docs").glob("*.md")} - {"README.md"}

    assert pages <= set(index)
    assert "docs/README.md" in LINK.findall(read("README.md"))


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_whole_says_what_it_shows_and_is_used(picture: Path) -> None:
    root = fromstring(picture.read_text())
    used = [each for each in documents() if f"images/{picture.name}" in each.read_text()]

    assert root.findtext("{http://www.w3.org/2000/svg}title") == root.get("aria-label")
    assert used


@pytest.mark.parametrize("cell", CELL_SPECS)
def test_the_concepts_have_the_parameters_and_options_of_every_cell(cell: str) -> None:
    text = read("docs/concepts.md")

    assert f"`{cell}`" in text
    assert [name for name in CELL_SPECS[cell].model_fields if name != "type" and f"`{name}" not in text] == []  # fmt: skip


def test_the_cell_that_is_added_in_the_document_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    [program] = re.findall(r"^```python\n(.+?)^```$", read(ADDING), re.MULTILINE | re.DOTALL)
    monkeypatch.setattr(nn_spec, "LeakySpec", Spec, raising=False)
    made: dict[str, Any] = {}
    exec(program, made)
    cell = made["LeakyCell"](Spec(), 3, 4, CellOptions(layer_norm=True))
    x_BTI = torch.rand(2, 5, 3)

    h_BTH, (last_BH,) = cell(x_BTI, cell.initial_state(2, x_BTI))

    assert h_BTH.shape == (2, 5, 4)
    assert torch.equal(h_BTH[:, -1], last_BH)
    assert f"`{TO_BE_WRITTEN}`" in read(ADDING)


def test_make_help_names_every_public_word() -> None:
    makefile = read("Makefile")
    declared = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
        env={"PATH": os.environ["PATH"]},
    ).stdout

    assert declared
    assert {word for word, _ in PUBLIC_WORD.findall(makefile)} == set(declared[1].split())
    for word in declared[1].split():
        assert f"make {word} " in shown


def test_the_readme_begins_with_the_two_words() -> None:
    readme = read("README.md")

    assert 0 < readme.index("make demo") < readme.index("make test") < 2000


@pytest.mark.parametrize("name", [*CELL_SPECS, *BUILTINS, Mapping.MANY_TO_ONE])
def test_the_readme_names_what_there_is(name: str) -> None:
    assert f"`{name}`" in read("README.md")


def test_the_changelog_has_a_section_for_what_comes_next() -> None:
    sections = re.findall(r"^## \[(.+?)\]", read("CHANGELOG.md"), re.MULTILINE)

    assert sections[0] == "Unreleased"


def test_every_decision_is_listed_and_has_its_three_parts() -> None:
    folder = ROOT / "docs/decisions"
    decisions = sorted(folder.glob("0*.md"))
    index = (folder / "README.md").read_text()

    assert decisions
    for decision in decisions:
        text = decision.read_text()
        assert f"({decision.name})" in index
        assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == [
            "Context",
            "Decision",
            "Consequences",
        ]


@pytest.mark.parametrize("schedule", get_args(get_args(ScheduleSpec)[0]))
def test_every_schedule_and_its_options_are_documented(schedule: type[BaseModel]) -> None:
    name = schedule.model_fields["type"].default
    [row] = re.findall(rf"^\| `{name}` \| .+ \|$", read("docs/http.md"), re.MULTILINE)

    assert [option for option in schedule.model_fields if option not in row] == ["type"]
    assert name in next(o.help for o in OPTIONS["Training"] if o.name == "schedule")


def test_shown_specs_are_specs() -> None:
    blocks: list[Any] = re.findall(r"```json\n(.+?)```", read("docs/http.md"), re.DOTALL)

    assert blocks
    for spec in map(json.loads, blocks):
        (ExperimentSpec if "base" in spec else JobSpec).model_validate(spec)
