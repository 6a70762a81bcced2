"""The `unroll` command: which commands there are, and how errors end them; the work is theirs."""

import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer

from services.client.commands import (
    acting,
    catalog,
    datasets,
    demo,
    doctor,
    experiments,
    export,
    jobs,
    keys,
    predict,
    processes,
    progress,
    sessions,
    submit,
    trace,
    versions,
)
from services.client.commands.exits import CommandError, code_of
from services.client.commands.output import show_error
from services.client.errors import UnrollError

PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "Start": (processes.up, processes.down, demo.demo, doctor.doctor),
    "Train": (
        submit.submit,
        jobs.jobs,
        jobs.show,
        jobs.watch,
        progress.metrics,
        progress.events,
        catalog.queue,
    ),
    "Change": (
        acting.cancel,
        acting.pause,
        acting.resume,
        acting.retry,
        acting.set_,
        acting.rm,
    ),
    "Use": (
        predict.predict,
        sessions.generate,
        trace.trace,
        versions.publish,
        versions.alias,
        catalog.cells,
    ),
    "Operate": (processes.migrate, processes.worker, processes.api, processes.inference),
}
GROUPS = {
    "datasets": ("Train", datasets.app),
    "checkpoints": ("Train", progress.checkpoints),
    "experiments": ("Train", experiments.app),
    "models": ("Use", catalog.models),
    "export": ("Use", export.app),
    "session": ("Use", sessions.app),
    "keys": ("Operate", keys.app),
}

app = typer.Typer(
    name="unroll",
    help="Train recurrent sequence models, and call them. `unroll demo` shows how it goes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"unroll {version('unroll')}\n")
        raise typer.Exit


@app.callback()
def _root(
    wanted: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


for _panel, _commands in PANELS.items():
    for _command in _commands:
        _name = _command.__name__.rstrip("_")
        app.command(_name, rich_help_panel=_panel)(_command)
for _name, (_panel, _group) in GROUPS.items():
    app.add_typer(_group, name=_name, rich_help_panel=_panel)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code (see `docs/cli.md`)."""
    try:
        app(args=list(arguments), prog_name="unroll")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except (UnrollError, CommandError) as error:
        show_error(error)
        return code_of(error)
    return 0


def main() -> NoReturn:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
