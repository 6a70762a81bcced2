"""Commands about versions of models: publish, alias, unalias, delete."""

from typing import Annotated

import typer

from services.client.client import UnrollClient
from services.client.commands import completion
from services.client.commands.catalog import models
from services.client.commands.completion import asked
from services.client.commands.exits import Code, CommandError
from services.client.commands.options import Json, ModelName, with_config
from services.client.commands.output import line, note, print_json
from services.client.config import ClientConfig

Number = Annotated[
    int,
    typer.Argument(
        metavar="VERSION",
        min=1,
        help="Number of a version.",
        autocompletion=asked(completion.numbers),
    ),
]
Word = Annotated[
    str,
    typer.Argument(
        metavar="ALIAS",
        help="A word, such as production.",
        autocompletion=asked(completion.aliases),
    ),
]


@with_config
def publish(
    config: ClientConfig,
    model: ModelName,
    checkpoint_id: Annotated[
        str | None, typer.Argument(metavar="[CHECKPOINT]", help="Id of a checkpoint.")
    ] = None,
    job: Annotated[
        str | None,
        typer.Option(
            help="Instead: the best checkpoint of a job.", autocompletion=asked(completion.jobs())
        ),
    ] = None,
    alias: Annotated[str | None, typer.Option(help="Point this alias to it at once.")] = None,
    as_json: Json = False,
) -> None:
    """Publish a checkpoint as a model's next version."""
    if (checkpoint_id is None) == (job is None):
        raise CommandError("give a CHECKPOINT or --job, one of them", Code.USAGE)
    with UnrollClient(config=config) as client:
        chosen = checkpoint_id or _best(client, job or "")
        version = client.publish(model, chosen)
        if alias is not None:
            client.set_alias(model, alias, version.version)
    if as_json:
        print_json(version.raw)
        return
    line(str(version.version))
    note(f"{model}, version {version.version}: checked when inference is first asked for it")


@with_config
def alias(
    config: ClientConfig, model: ModelName, word: Word, version: Number, as_json: Json = False
) -> None:
    """Point an alias to a version of a model."""
    with UnrollClient(config=config) as client:
        found = client.set_alias(model, word, version)
    if as_json:
        print_json(found.raw)
    else:
        note(f"{word} of {model} is version {found.version}")


@models.command("unalias")
@with_config
def unalias(config: ClientConfig, model: ModelName, word: Word) -> None:
    """Delete an alias; its version stays."""
    with UnrollClient(config=config) as client:
        client.delete_alias(model, word)
    note(f"{model} has no alias {word} any more")


@models.command("rm")
@with_config
def delete_version(config: ClientConfig, model: ModelName, version: Number) -> None:
    """Delete a version that no alias points to."""
    with UnrollClient(config=config) as client:
        client.delete_version(model, version)
    note(f"version {version} of {model} is deleted")


def _best(client: UnrollClient, job_id: str) -> str:
    """The best checkpoint of a job, or its newest where none was evaluated yet."""
    found = client.checkpoints(job_id).data
    if not found:
        raise CommandError(f"job {job_id} has no checkpoint yet", Code.REFUSED)
    return next((each.id for each in found if each.is_best), found[0].id)
