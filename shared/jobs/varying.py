"""How values take the place of a spec's fields, and what the results are called. Resolves nothing."""

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from itertools import product
from typing import Any

from shared.jobs.errors import shortened

TAGGED = (
    "cell",
    "optimizer",
    "schedule",
)  # told apart by their `type`; a bare name is short for it
FIXED = {
    "name": "jobs are named after the experiment and what varies",
    "model_name": "models are named after the experiment and what varies",
    "dataset": "arms are compared on one dataset",
    "mapping": "arms are compared on one mapping",
    "alignment": "arms are compared on one mapping",
    "priority": "all jobs have the priority of the base",
    "metadata": "all jobs have the metadata of the base",
    "max_attempts": "all jobs have the max_attempts of the base",
    "training.seed": "the experiment's seeds say which seeds there are",
}
"""What cannot vary, and why."""
LONGEST_LABEL = 120


class NotAField(Exception):
    """A path leads through what has no fields."""


def combinations_of(vary: dict[str, list[Any]]) -> Iterator[tuple[int, ...]]:
    """Which value each path takes in each arm; the last path varies fastest."""
    return product(*(range(len(values)) for values in vary.values()))


def with_values(base: dict[str, Any], full: dict[str, Any], arm: dict[str, Any]) -> dict[str, Any]:
    """The base with the arm's values in it.

    `full` is the base with every default, for the `type` of what the base left open.

    Raises:
        NotAField: a path leads through a number or text.
    """
    spec = deepcopy(base)
    for path, value in arm.items():
        *way, last = path.split(".")
        place, known = spec, full
        for part in way:
            known = _fields_of(known.get(part))
            place = _opened(place, part, known.get("type"))
        if path == "network.hidden_size" and isinstance(place.get(last), list):
            place.pop("num_layers", None)  # followed from the list, as it does from another one
        place[last] = deepcopy(value)
    return spec


def _fields_of(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _opened(place: dict[str, Any], part: str, usual_type: str | None) -> dict[str, Any]:
    """The object in a field, made where there is none."""
    value = place.get(part)
    if value is not None and not isinstance(value, dict):
        raise NotAField(f"{part} is {shortened(json.dumps(value))}, which has no fields.")
    usual = {} if usual_type is None else {"type": usual_type}
    inner: dict[str, Any] = usual if value is None else value
    place[part] = inner
    return inner


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """The last part of each path, or all of it where two end alike."""
    ends = [path.rpartition(".")[2] for path in paths]
    return {
        path: path if ends.count(end) > 1 else end for path, end in zip(paths, ends, strict=True)
    }


def label_of(arm: dict[str, Any]) -> str:
    """What an arm is called: `lstm, hidden_size=16`."""
    texts = [_said(path, name, arm[path]) for path, name in short_names(list(arm)).items()]
    label = ", ".join(texts) or "base"
    return label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"


def _said(path: str, name: str, value: Any) -> str:
    if path.rpartition(".")[2] not in TAGGED:
        return f"{name}={_text(value)}"
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return _text(value)
    options = ", ".join(f"{key}={_text(given)}" for key, given in value.items() if key != "type")
    return f"{value['type']}({options})" if options else value["type"]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
