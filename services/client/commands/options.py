"""How groups of options become parameters of commands; runs no command."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from services.client.commands.completion import asked, models, versions
from services.client.config import load_config

Command = Callable[..., None]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ModelName = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="Name of a model.", autocompletion=asked(models)),
]
ModelVersion = Annotated[
    str | None,
    typer.Option(help="A version or alias; default: the newest.", autocompletion=asked(versions)),
]
ExitStatus = Annotated[
    bool, typer.Option("--exit-status", help="Exit 10 when the job failed, 11 when cancelled.")
]
WaitS = Annotated[
    float | None, typer.Option("--wait-s", min=0, help="Give up after so many seconds: exit 7.")
]


@dataclass(frozen=True)
class Opt:
    """One option of a group: parameter, type, flags and help."""

    name: str
    type: Any
    help: str
    flags: tuple[str, ...] = ()  # empty = from the name
    complete: Callable[..., Any] | None = None  # what a shell offers: see completion.py

    def parameter(self, group: str) -> inspect.Parameter:
        flags = self.flags or (f"--{self.name.replace('_', '-')}",)
        option = typer.Option(
            *flags,
            help=self.help,
            rich_help_panel=group,
            show_default=False,
            autocompletion=self.complete,
        )
        return inspect.Parameter(
            self.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[self.type, option],
        )


Groups = Mapping[str, Sequence[Opt]]


def collected(
    into: str, groups: Groups, build: Callable[[dict[str, Any]], Any]
) -> Callable[[Command], Command]:
    """Give a command the options of `groups`; it gets `build(values)` as its parameter `into`."""

    def decorate(command: Command) -> Command:
        mine = {option.name for options in groups.values() for option in options}

        @wraps(command)
        def with_options(**values: Any) -> None:
            given = {name: value for name, value in values.items() if name in mine}
            rest = {name: value for name, value in values.items() if name not in mine}
            command(**rest, **{into: build(given)})

        own = inspect.signature(command).parameters
        kept = [parameter for name, parameter in own.items() if name != into]
        added = [option.parameter(group) for group, options in groups.items() for option in options]
        parameters = [parameter.replace(kind=parameter.KEYWORD_ONLY) for parameter in kept] + added
        with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_options.__annotations__ = {p.name: p.annotation for p in parameters}
        return with_options

    return decorate


SERVICE: Groups = {
    "Service": (
        Opt("api_url", str | None, "The API (UNROLL_API_URL)."),
        Opt("inference_url", str | None, "The inference service (UNROLL_INFERENCE_URL)."),
        Opt("api_key", str | None, "Key to send (UNROLL_API_KEY)."),
        Opt("state_dir", Path | None, "Data of a local stack (UNROLL_STATE_DIR)."),
        Opt("timeout_s", float | None, "Longest wait for one answer (UNROLL_TIMEOUT_S)."),
    )
}
STATE_DIR: Groups = {"Service": SERVICE["Service"][3:4]}

with_config = collected("config", SERVICE, load_config)
"""Gives a command `config: ClientConfig`."""
with_state_dir = collected("config", STATE_DIR, load_config)
"""The same, for commands that deal with the local stack alone."""


def either(words: Sequence[str]) -> str:
    """The words as the help of an option: `a, b or c.`"""
    return f"{', '.join(words[:-1])} or {words[-1]}."


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """`key=value` texts as a dict."""
    for text in texts:
        if "=" not in text:
            raise typer.BadParameter(f"{text!r} has no '='; write key=value", param_hint=option)
    return dict(text.split("=", 1) for text in texts)
