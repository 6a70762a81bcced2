"""What a shell offers for a word, asked of the service; says nothing where no answer comes in time."""

import queue
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import typer

from services.client.client import UnrollClient
from services.client.commands.output import cell_text
from services.client.config import KEYS, load_config

ANSWER_S = 1.0  # nobody waits longer for a key press
NEWEST = 100  # one page; who looks for something older knows its id
WORD = re.compile(r"[\w./+-]+")  # what every shell takes without quotes
NO_TEXT = re.compile(r"[^\w ,./%=-]+")  # some shells evaluate the text beside a word

Given = Mapping[str, Any]
"""What stands on the command line already, by parameter."""
Offers = list[tuple[str, str]]
"""Words, and what each is."""
Ask = Callable[[UnrollClient, Given], Iterable[tuple[str, str]]]


def asked(ask: Ask) -> Callable[[typer.Context], Offers]:
    """What the service offers, for the `autocompletion` of a parameter."""

    def complete(ctx: typer.Context) -> Offers:
        return in_time(lambda: _plain(_answer(ask, given(ctx))), ANSWER_S)

    return complete


def given(ctx: typer.Context) -> Given:
    """What is known of the line; where an option lacks its value yet, arguments are not parsed."""
    names = [each.name for each in ctx.command.params if each.param_type_name == "argument"]
    parsed = {name: value for name, value in ctx.params.items() if value is not None}
    return {**dict(zip(filter(None, names), ctx.args, strict=False)), **parsed}


def words(*choices: str) -> Callable[[], list[str]]:
    """The same of words that are always these."""
    return lambda: list(choices)


def in_time(find: Callable[[], Offers], within_s: float) -> Offers:
    """What is found; nothing when that fails or takes longer: a prompt is no place for errors."""
    found: queue.SimpleQueue[Offers] = queue.SimpleQueue()

    def look() -> None:
        try:
            found.put(find())
        except Exception:
            found.put([])

    threading.Thread(target=look, daemon=True).start()
    try:
        return found.get(timeout=within_s)
    except queue.Empty:
        return []


def _answer(ask: Ask, line: Given) -> Offers:
    """Asked once, as the options, the environment and `unroll.toml` say."""
    config = load_config({key: line.get(key) for key in KEYS})
    with UnrollClient(config=config, max_retries=0) as client:
        return list(ask(client, line))


def _plain(offers: Offers) -> Offers:
    return [(word, NO_TEXT.sub(" ", text)) for word, text in offers if WORD.fullmatch(word)]


def jobs(*statuses: str) -> Ask:
    """The newest jobs; with statuses, those that have one of them."""

    def ask(client: UnrollClient, line: Given) -> Iterator[tuple[str, str]]:
        for job in client.jobs_page(status=statuses, limit=NEWEST).data:
            yield job.id, f"{job.name}, {job.status}"

    return ask


def metric_names(client: UnrollClient, line: Given) -> Iterator[tuple[str, str]]:
    """Of the job on the command line."""
    for name, value in client.job(line["job_id"]).latest.items():
        yield name, cell_text(value)


def experiments(client: UnrollClient, line: Given) -> Iterator[tuple[str, str]]:
    for found in client.experiments_page(limit=NEWEST).data:
        yield found.id, f"{found.name}, {found.status}"


def experiment_metrics(client: UnrollClient, line: Given) -> Iterator[tuple[str, str]]:
    """Of the experiment on the command line."""
    found = client.experiment(line["experiment"])
    for name in found.metrics:
        yield name, "ranks now" if name == found.metric else ""


def datasets(client: UnrollClient, line: Given) -> Iterator[tuple[str, str]]:
    for found in client.datasets_page(limit=NEWEST).data:
        yield found.name, f"{found.source}, {', '.join(found.mappings)}"


def cells(client: UnrollClient, line: Given) -> Iterator[tuple[str, str]]:
    for cell in client.cells().data:
        yield cell.type, cell.title


def models(client: UnrollClient, line: Given) -> Iterator[tuple[str, str]]:
    for model in client.models_page(limit=NEWEST).data:
        newest = model.versions[0]
        yield model.name, f"version {newest.version}, {newest.network['cell']['type']}"


def aliases(client: UnrollClient, line: Given) -> Iterator[tuple[str, str]]:
    """Of the model on the command line."""
    for version in client.model(line["model"]).versions:
        for alias in version.aliases:
            yield alias, f"version {version.version}"


def numbers(client: UnrollClient, line: Given) -> Iterator[tuple[str, str]]:
    """Versions of the model on the command line, the newest first."""
    for version in client.model(line["model"]).versions:
        yield str(version.version), f"{version.network['cell']['type']}, {version.job_id}"


def versions(client: UnrollClient, line: Given) -> Iterator[tuple[str, str]]:
    """The same with aliases, for what takes both."""
    yield from aliases(client, line)
    yield from numbers(client, line)
