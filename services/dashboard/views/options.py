"""What cells, optimizers and schedules offer, as a form asks for it; and what a form has no field for."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.dashboard.views.snippets import paths, without_defaults
from shared.jobs.schedules import SCHEDULE_SPECS
from shared.jobs.spec import OPTIMIZER_SPECS
from shared.nn.catalog import CARDS
from shared.nn.spec import CELL_SPECS, Spec

Wish = dict[str, Any]
KINDS = {"boolean": "flag", "number": "number", "integer": "number", "string": "text"}
HAVE_FIELDS = ("lr", "weight_decay")  # of every optimizer, apart from its own options
WITHOUT_FIELD = (
    "network.condition",
    "training.teacher_forcing",
    "training.teacher_forcing_end",
    "training.precision",
    "checkpoint",
    "resources.devices",
    "resources.max_runtime_s",
    "max_attempts",
    "metadata",
)
"""Parts of a spec that the form for a new job can only keep or leave out."""


@dataclass(frozen=True, slots=True)
class Option:
    """One choice within a type, as a form asks for it."""

    name: str
    kind: str
    """flag, number, text or choice."""
    about: str
    value: Any
    """Empty for none."""
    default: str
    """As its field would say it."""
    choices: tuple[str, ...] = ()
    limits: Mapping[str, float | None] | None = None


@dataclass(frozen=True, slots=True)
class TypeChoice:
    type: str
    title: str
    options: list[Option]


def cell_choices(chosen: Wish) -> list[TypeChoice]:
    """Every cell; the options of the chosen one as it has them, those of others at their defaults."""
    return _choices(CELL_SPECS, chosen, titles={name: CARDS[name].title for name in CELL_SPECS})


def optimizer_choices(chosen: Wish) -> list[TypeChoice]:
    """The same for optimizers, without what all of them have."""
    return _choices(OPTIMIZER_SPECS, chosen, left_out=HAVE_FIELDS)


def schedule_choices(chosen: Wish) -> list[TypeChoice]:
    return _choices(SCHEDULE_SPECS, chosen)


def _choices(
    specs: Mapping[str, type[Spec]],
    chosen: Wish,
    titles: Mapping[str, str] | None = None,
    left_out: Collection[str] = (),
) -> list[TypeChoice]:
    return [
        TypeChoice(
            type=name,
            title=(titles or {}).get(name, name.replace("_", " ")),
            options=_options(spec, chosen if chosen["type"] == name else {}, {"type", *left_out}),
        )
        for name, spec in specs.items()
    ]


def _options(spec: type[Spec], chosen: Wish, left_out: Collection[str]) -> list[Option]:
    properties = spec.model_json_schema()["properties"]
    return [
        _option(name, schema, chosen.get(name, schema["default"]))
        for name, schema in properties.items()
        if name not in left_out
    ]


def _option(name: str, schema: Wish, value: Any) -> Option:
    bare = {**schema, **schema.get("anyOf", [{}])[0]}  # the other one is null
    kind = "choice" if "enum" in bare else KINDS[bare["type"]]
    return Option(
        name=name,
        kind=kind,
        about=schema.get("description", ""),
        value="" if value is None else value,
        default=_said(schema["default"], kind),
        choices=tuple(bare.get("enum", ())),
        limits={"min": bare.get("minimum"), "max": bare.get("maximum")},
    )


def _said(default: Any, kind: str) -> str:
    if default is None:
        return ""
    return str(default).lower() if kind == "flag" else str(default)


def carried(spec: Wish) -> list[tuple[str, str]]:
    """Path and JSON of what a spec asks for besides what the form has fields for."""
    return [(path, json.dumps(value)) for path, value in _kept(without_defaults(spec))]


def _kept(wish: Wish) -> Iterator[tuple[str, Any]]:
    for path in WITHOUT_FIELD:
        value: Any = wish
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, dict) and path != "metadata":  # whose names may hold dots
            yield from paths(value, f"{path}.")
        elif value is not None:
            yield path, value
