"""The documents of the command and the client hold every name there is."""

import inspect
import re
from itertools import chain
from pathlib import Path

import pytest
import typer

from services.client.cli import GROUPS, PANELS, app
from services.client.client import UnrollClient
from services.client.commands.exits import Code
from services.client.commands.options import SERVICE, Opt
from services.client.commands.reading import READING
from services.client.commands.spec import OPTIONS
from services.client.config import KEYS

DOCS = Path(__file__).parents[3] / "docs"
CLI = (DOCS / "cli.md").read_text(encoding="utf-8")
CLIENT = (DOCS / "client.md").read_text(encoding="utf-8")
GROUPS_OF_OPTIONS = (OPTIONS, READING, SERVICE)
PUBLIC = [name for name, _ in inspect.getmembers(UnrollClient) if not name.startswith("_")]


def commands_of(group: typer.Typer) -> list[str]:
    names = []
    for command in group.registered_commands:
        assert command.callback is not None
        names.append(command.name or command.callback.__name__)
    return names


COMMANDS = [
    *commands_of(app),
    *(f"{name} {command}" for name, (_, group) in GROUPS.items() for command in commands_of(group)),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_heading(command: str) -> None:
    assert re.search(rf"^### `unroll {command}\b", CLI, re.MULTILINE)


def test_the_document_names_no_command_that_is_not_there() -> None:
    named = set(re.findall(r"^### `unroll ([a-z]+(?: [a-z]+)?)", CLI, re.MULTILINE))

    assert named == set(COMMANDS)


def test_commands_stand_in_the_document_under_the_panel_that_help_shows_them_in() -> None:
    sections = re.findall(r"^## (\w+)\n(.+?)(?=^## |\Z)", CLI, re.MULTILINE | re.DOTALL)
    documented = {
        command: panel
        for panel, text in sections
        for command in re.findall(r"^### `unroll ([a-z]+)", text, re.MULTILINE)
    }
    shown = {command: panel for command, (panel, _) in GROUPS.items()}
    for panel, commands in PANELS.items():
        shown |= {command.__name__.rstrip("_"): panel for command in commands}

    assert documented == shown


@pytest.mark.parametrize("panel", [*PANELS, *chain(*GROUPS_OF_OPTIONS)])
def test_every_group_of_commands_and_options_is_named(panel: str) -> None:
    assert panel in CLI


@pytest.mark.parametrize(
    "option",
    [option for groups in GROUPS_OF_OPTIONS for group in groups.values() for option in group],
)
def test_every_option_of_a_group_is_described(option: Opt) -> None:
    assert f"`--{option.name.replace('_', '-')}" in CLI


@pytest.mark.parametrize("code", [*Code])
def test_every_exit_code_is_explained(code: Code) -> None:
    assert re.search(rf"^\| {code.value} \|", CLI, re.MULTILINE)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_of_the_configuration_is_explained(key: str) -> None:
    assert f"`{key}`" in CLI
    assert f"`UNROLL_{key.upper()}`" in CLI


@pytest.mark.parametrize("method", PUBLIC)
def test_every_method_of_the_client_is_listed(method: str) -> None:
    assert f"`{method}(" in CLIENT or f"`{method}`" in CLIENT
