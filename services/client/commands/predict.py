"""The command that calls a trained network."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from services.client.client import Prediction, UnrollClient
from services.client.commands.exits import Code, CommandError
from services.client.commands.options import Json, ModelName, ModelVersion, with_config
from services.client.commands.output import cell_text, line, print_json, print_table, short
from services.client.config import ClientConfig

BATCH = 256  # inputs of one request; the service takes 1,024
TOP = 3
Output = dict[str, Any]


@with_config
def predict(
    config: ClientConfig,
    model: ModelName,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[INPUT]...", help="Text, or a JSON array of numbers or symbols."),
    ] = None,
    version: ModelVersion = None,
    file: Annotated[Path | None, typer.Option(help="JSON lines; - = standard input.")] = None,
    text: Annotated[bool, typer.Option("--text", help="Never read an INPUT as JSON.")] = False,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            metavar="NAME=VALUE",
            help="How a text is written: max_length, temperature, top_k, top_p, beam_size, seed.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Call a trained network on arguments, a file or standard input."""
    if inputs and file:
        raise CommandError("give inputs as arguments or by --file, not both", Code.USAGE)
    sequences = _from_arguments(inputs, is_text=text) if inputs else list(_from_lines(file))
    if not sequences:
        raise CommandError("give at least one input", Code.USAGE)
    with UnrollClient(config=config) as client:
        found = predict_all(client, model, sequences, version, parse_options(options or []))
    if as_json:
        print_json(found.raw)
    elif file is None and sys.stdout.isatty():
        rows = zip(sequences, found.outputs, strict=True)
        table = ((shown(x), describe(y)) for x, y in rows)
        print_table(("INPUT", "OUTPUT"), table, is_whole=True)
    else:
        for output in found.outputs:
            line(describe(output))


def predict_all(
    client: UnrollClient,
    model: str,
    inputs: Sequence[Any],
    version: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Prediction:
    """One prediction for any number of inputs, all of the same version."""
    found = client.predict(model, inputs[:BATCH], version=version, options=options)
    for start in range(BATCH, len(inputs), BATCH):
        batch = inputs[start : start + BATCH]
        more = client.predict(model, batch, version=found.version, options=options)
        found.outputs += more.outputs
    found.raw["outputs"] = found.outputs
    return found


def describe(output: Output) -> str:
    """An output for a person: a label with its nearest rivals, or the numbers."""
    for key, text in TEXTS.items():
        if key in output:
            return text(output)
    return json.dumps(output, ensure_ascii=False)


def top(output: Output) -> str:
    """The most probable labels, the first one first."""
    ranked = sorted(output["probabilities"].items(), key=lambda item: -item[1])[:TOP]
    return "  ".join(f"{label} {probability:.2f}" for label, probability in ranked)


TEXTS: dict[str, Callable[[Output], str]] = {
    "label": top,
    "value": lambda output: cell_text(output["value"]),
    "text": lambda output: str(output["text"]),
    "tokens": lambda output: " ".join(map(str, output["tokens"])),
    "labels": lambda output: " ".join(map(str, output["labels"])),
    "values": lambda output: json.dumps(rounded(output["values"])),
    "probabilities": lambda output: json.dumps(rounded(output["probabilities"])),
}


def rounded(numbers: Any) -> Any:
    """Lists of numbers with the digits that mean something in fp32; `--json` has all."""
    if isinstance(numbers, list):
        return [rounded(each) for each in numbers]
    return float(f"{numbers:.6g}") if isinstance(numbers, float) else numbers


def shown(sequence: object) -> str:
    return short(sequence if isinstance(sequence, str) else json.dumps(sequence))


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """`max_length=40` and its like; which there are, and their bounds, is for the service to say."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        try:
            found[name] = json.loads(value, parse_constant=_refuse_constant)
        except ValueError as fault:
            raise CommandError(
                f"--option {pair}: write NAME=NUMBER, as in max_length=40", Code.USAGE
            ) from fault
        if not (name and equals):
            raise CommandError(f"--option {pair}: write NAME=NUMBER", Code.USAGE)
    return found


def _from_arguments(texts: Sequence[str], *, is_text: bool) -> list[Any]:
    return [text if is_text else read_argument(text) for text in texts]


def read_argument(text: str) -> object:
    """A JSON array when it is one; everything else, `42` and `"x"` too, is text as it stands."""
    if not text.lstrip().startswith("["):
        return text
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        return text


def _from_lines(file: Path | None) -> Iterator[Any]:
    """Each line is an input, or a record with one, as in a dataset's JSON lines."""
    if file is None and sys.stdin.isatty():
        raise CommandError("give inputs as arguments, by --file, or on standard input", Code.USAGE)
    for number, text in enumerate(_lines(file), 1):
        if not text.strip():
            continue
        try:
            value = json.loads(text, parse_constant=_refuse_constant)
        except ValueError as fault:
            raise CommandError(f"line {number} is not JSON: {fault}", Code.INVALID) from fault
        if isinstance(value, dict) and "input" not in value:
            raise CommandError(f'line {number} has no "input"', Code.INVALID)
        yield value["input"] if isinstance(value, dict) else value


def _lines(file: Path | None) -> Iterator[str]:
    try:
        if file is None or str(file) == "-":
            yield from sys.stdin
            return
        with file.open(encoding="utf-8") as opened:
            yield from opened
    except UnicodeDecodeError as fault:
        raise CommandError(f"the input is not UTF-8: {fault}", Code.INVALID) from fault
    except OSError as fault:
        raise CommandError(f"--file {file}: {fault.strerror}", Code.USAGE) from fault


def _refuse_constant(constant: str) -> float:
    raise ValueError(f"{constant} is no number that can be sent")
