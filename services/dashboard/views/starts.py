"""What a new job starts from: an example, another job, or nothing chosen."""

from dataclasses import dataclass
from typing import Any

from services.dashboard.views.snippets import without_defaults
from shared.db.tables import JobRow
from shared.jobs.spec import JobSpec, model_name_from

Wish = dict[str, Any]
RATES = ("lr", "max_lr", "min_lr")


@dataclass(frozen=True, slots=True)
class Example:
    title: str
    wish: Wish


EXAMPLES: dict[str, Example] = {
    "names": Example(
        "Where is a surname at home? (many to one)",
        {
            "dataset": "surnames",
            "network": {"cell": "lstm", "hidden_size": 64, "bidirectional": True},
            "training": {"epochs": 5, "batch_size": 64},
        },
    ),
    "digits": Example(
        "Read a digit row by row (many to one)",
        {"dataset": "digits", "network": {"cell": "gru", "hidden_size": 64}},
    ),
    "code": Example(
        "Colour Python code (many to many, aligned)",
        {
            "dataset": "highlight",
            "network": {"cell": "lstm", "hidden_size": 64, "bidirectional": True},
            "training": {"epochs": 3},
        },
    ),
    "text": Example(
        "Write like the Python manual (next character)",
        {
            "dataset": "pydocs",
            "network": {"cell": "lstm", "hidden_size": 128, "num_layers": 2, "dropout": 0.1},
            "training": {"epochs": 3, "optimizer": {"type": "adamw", "lr": 0.003}},
        },
    ),
    "dates": Example(
        "Rewrite a date (many to many, encoder-decoder)",
        {
            "dataset": "dates",
            "network": {"cell": "gru", "hidden_size": 64, "attention": "additive"},
            "training": {"epochs": 5},
        },
    ),
    "invent": Example(
        "Make up a surname for a place (one to many)",
        {"dataset": "names-by-locale", "network": {"cell": "gru", "hidden_size": 64}},
    ),
    "forecast": Example(
        "Forecast sunspots (many to one, numbers)",
        {
            "dataset": "sunspots",
            "network": {"cell": "elman", "hidden_size": 32},
            "training": {"epochs": 50},
        },
    ),
    "adding": Example(
        "Remember two numbers for 50 steps (many to one, numbers)",
        {
            "dataset": "adding",
            "network": {"cell": {"type": "lstm", "peephole": True}, "hidden_size": 64},
        },
    ),
}
BLANK: Wish = {"dataset": "surnames", "network": {"cell": "lstm"}}


@dataclass(frozen=True, slots=True)
class Start:
    """What the form shows at first."""

    name: str
    """`example:names`, the id of a job, or nothing."""
    label: str
    spec: Wish
    """A whole spec: what the start leaves open has its default."""


def blank_start() -> Start:
    return Start("", "", _whole(BLANK))


def example_start(name: str) -> Start | None:
    example = EXAMPLES.get(name)
    return Start(f"example:{name}", example.title, _whole(example.wish)) if example else None


def job_start(row: JobRow, slower: int = 1) -> Start:
    """A copy of what was asked for; the name of the model goes on following that of the job.

    `slower` = what its learning rates are divided by.
    """
    wish = without_defaults(_slowed(row.spec, slower))
    if wish.get("model_name") == model_name_from(row.name):
        del wish["model_name"]
    return Start(row.id, f"{row.name}, {row.id}", _whole(wish))


def _slowed(spec: Wish, slower: int) -> Wish:
    training = spec["training"]
    parts = {part: _divided(training[part], slower) for part in ("optimizer", "schedule")}
    return {**spec, "training": {**training, **parts}}


def _divided(options: Wish, slower: int) -> Wish:
    rates = {name: options[name] for name in RATES if options.get(name)}
    return {**options, **{name: float(f"{rate / slower:.6g}") for name, rate in rates.items()}}


def _whole(wish: Wish) -> Wish:
    return JobSpec.model_validate(wish).model_dump(mode="json")
