"""The documents keep up with the code: settings, routes, words of make, links."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
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
from shared.nn.spec import CELL_SPECS, Mapping

ROOT = Path(__file__).parents[2]
METHODS = {"get", "post", "put", "patch", "delete"}
ROW = re.compile(r"^\| `(UNROLL_\w+)` \| (.+?) \| (.+) \|$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PUBLIC_WORD = re.compile(r"^([a-z]+):.*?## (.+)$", re.MULTILINE)


def read(name: str) -> str:
    return (ROOT / name).read_text()


def documents() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def written(default: object) -> str:
    """A default as the table of settings has it."""
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if default in ((), None):
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
