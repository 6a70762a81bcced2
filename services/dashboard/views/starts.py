"""What a new job starts from: an example, another job, or nothing chosen; and what a cell offers."""

from dataclasses import dataclass
from typing import Any

from services.dashboard.views.snippets import without_defaults
from shared.db.tables import JobRow
from shared.jobs.spec import JobSpec, model_name_from
from shared.nn.catalog import CARDS
from shared.nn.spec import CELL_SPECS

Wish = dict[str, Any]


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


def job_start(row: JobRow) -> Start:
    """A copy of what was asked for; the name of the model goes on following that of the job."""
    wish = without_defaults(row.spec)
    if wish.get("model_name") == model_name_from(row.name):
        del wish["model_name"]
    return Start(row.id, f"{row.name}, {row.id}", _whole(wish))


def _whole(wish: Wish) -> Wish:
    return JobSpec.model_validate(wish).model_dump(mode="json")


@dataclass(frozen=True, slots=True)
class Option:
    """One choice that a cell offers, as a form asks for it."""

    name: str
    kind: str
    """flag, number or choice."""
    about: str
    value: Any
    choices: tuple[str, ...] = ()
    limits: tuple[float | None, float | None] = (None, None)
    default: str = ""
    """As its field would say it."""


@dataclass(frozen=True, slots=True)
class CellChoice:
    type: str
    title: str
    options: list[Option]


def cell_choices(chosen: Wish) -> list[CellChoice]:
    """Every cell; the options of the chosen one as it has them, those of others at their defaults."""
    return [
        CellChoice(
            name, CARDS[name].title, _options(name, chosen if chosen["type"] == name else {})
        )
        for name in CELL_SPECS
    ]


def _options(cell: str, chosen: Wish) -> list[Option]:
    properties = CELL_SPECS[cell].model_json_schema()["properties"]
    return [
        _option(name, schema, chosen.get(name, schema["default"]))
        for name, schema in properties.items()
        if name != "type"
    ]


def _option(name: str, schema: Wish, value: Any) -> Option:
    kind = "choice" if "enum" in schema else KINDS[schema["type"]]
    limits = (schema.get("minimum"), schema.get("maximum"))
    about = schema.get("description", "")
    default = str(schema["default"]).lower() if kind == "flag" else str(schema["default"])
    return Option(name, kind, about, value, tuple(schema.get("enum", ())), limits, default)


KINDS = {"boolean": "flag", "number": "number", "integer": "number"}
