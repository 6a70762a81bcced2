"""`unroll session` and `unroll generate`: networks that are called step by step."""

import json
import sys
from typing import Annotated, Any

import typer

from services.client.client import UnrollClient
from services.client.commands.exits import Code, CommandError
from services.client.commands.options import Json, ModelName, ModelVersion, with_config
from services.client.commands.output import line, print_json
from services.client.commands.predict import describe, parse_options, read_argument
from services.client.config import ClientConfig
from services.client.models import Generated

app = typer.Typer(help="Call a network step by step; the service keeps its state.")
Id = Annotated[str, typer.Argument(metavar="SESSION", help="Id of a session.")]


@app.command()
@with_config
def create(
    config: ClientConfig,
    model: ModelName,
    version: ModelVersion = None,
    state: Annotated[str | None, typer.Option(help="An exported state to go on from.")] = None,
    lifetime_s: Annotated[
        float | None, typer.Option("--lifetime-s", help="Seconds it lives without a step.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a session and print its id."""
    with UnrollClient(config=config) as client:
        made = client.session(model, version=version, state=state, lifetime_s=lifetime_s)
    if as_json:
        print_json(made.facts.raw)
    else:
        line(made.id)


@app.command()
@with_config
def step(
    config: ClientConfig,
    session: Id,
    inputs: Annotated[
        list[str], typer.Argument(metavar="ELEMENT...", help="Symbols, numbers or JSON arrays.")
    ],
    text: Annotated[bool, typer.Option("--text", help="Never read an ELEMENT as JSON.")] = False,
    as_json: Json = False,
) -> None:
    """Have elements read; one output line each."""
    elements = list(inputs) if text else [_element(each) for each in inputs]
    with UnrollClient(config=config) as client:
        opened = client.open_session(session)
        outputs = opened.step(elements)
    if as_json:
        print_json({"outputs": outputs, "position": opened.position})
        return
    for output in outputs:
        line(describe(output))


@app.command()
@with_config
def show(config: ClientConfig, session: Id) -> None:
    """Show where a session stands, as JSON."""
    with UnrollClient(config=config) as client:
        print_json(client.open_session(session).facts.raw)


@app.command()
@with_config
def fork(config: ClientConfig, session: Id) -> None:
    """Make a second session from the state of this one and print its id."""
    with UnrollClient(config=config) as client:
        line(client.open_session(session).fork().id)


@app.command()
@with_config
def export(config: ClientConfig, session: Id) -> None:
    """Print the state, signed, for `unroll session create --state`."""
    with UnrollClient(config=config) as client:
        line(client.open_session(session).export())


@app.command()
@with_config
def delete(config: ClientConfig, session: Id) -> None:
    """End a session."""
    with UnrollClient(config=config) as client:
        client.open_session(session).delete()


@with_config
def generate(
    config: ClientConfig,
    model: ModelName,
    given: Annotated[
        str, typer.Argument(metavar="INPUT", help="Text, or a JSON array of numbers or symbols.")
    ],
    version: ModelVersion = None,
    text: Annotated[bool, typer.Option("--text", help="Never read INPUT as JSON.")] = False,
    stop: Annotated[
        list[str] | None, typer.Option(help="End before this text; may be repeated.")
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            metavar="NAME=VALUE",
            help="How it is written: max_length, temperature, top_k, top_p, seed.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Have a sequence written, and show it while it is."""
    chosen = {**parse_options(options or []), **({"stop": stop} if stop else {})}
    source = given if text else read_argument(given)
    with UnrollClient(config=config) as client:
        for event in client.stream_generate(model, source, version=version, options=chosen):
            if isinstance(event, Generated):
                _end(event, as_json=as_json)
            elif not as_json:
                _show(event.raw)


def _show(event: dict[str, Any]) -> None:
    if "value" in event:
        line(json.dumps(event["value"]))
    else:
        sys.stdout.write(event["text"])
        sys.stdout.flush()


def _end(generated: Generated, *, as_json: bool) -> None:
    if as_json:
        print_json(generated.raw)
    elif "values" not in generated.output:
        line("")


def _element(text: str) -> Any:
    """A JSON number or array when it is one; everything else is a symbol as it stands."""
    try:
        value = json.loads(text, parse_constant=_no_number)
    except ValueError:
        return text
    return value if isinstance(value, int | float | list) and not isinstance(value, bool) else text


def _no_number(constant: str) -> float:
    raise CommandError(f"{constant} is no number that can be sent", Code.INVALID)
