"""The same job as code: curl, Python and the command line."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pprint import pformat
from typing import Any

from shared.jobs.spec import JobSpec


@dataclass(frozen=True, slots=True)
class Snippet:
    id: str
    title: str
    code: str


def snippets(spec: dict[str, Any], url: str, *, needs_key: bool) -> list[Snippet]:
    """`url` is where the reader's browser finds the API."""
    wish = without_defaults(spec)
    return [
        Snippet("cli", "Command line", _cli(wish)),
        Snippet("python", "Python", _python(wish, url)),
        Snippet("curl", "curl", _curl(wish, url, needs_key)),
    ]


def without_defaults(spec: dict[str, Any]) -> dict[str, Any]:
    """Only what differs from a spec that leaves everything open; the cell always stays."""
    cell = spec["network"]["cell"]["type"]
    start = JobSpec.model_validate({"dataset": "-", "network": {"cell": cell}})
    pruned = _pruned(spec, start.model_dump(mode="json"))
    network = pruned.get("network", {})
    return {**pruned, "network": {"cell": network.get("cell", cell), **_without(network, "cell")}}


def _without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}


def _pruned(value: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    """What differs; with the `type` of it, which options mean nothing without."""
    kept: dict[str, Any] = {}
    for key, mine in value.items():
        other = default.get(key)
        chosen = mine
        if isinstance(mine, dict) and isinstance(other, dict) and _are_alike(mine, other):
            chosen = _pruned(mine, other) or other
        if chosen != other or key not in default:
            kept[key] = chosen
    return {"type": value["type"], **kept} if kept and "type" in value else kept


def _are_alike(mine: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether the fields of two objects mean the same."""
    return bool(mine.get("type") == other.get("type"))


def _curl(wish: dict[str, Any], url: str, needs_key: bool) -> str:
    lines = [f"curl {url}/v1/jobs", "-H 'Content-Type: application/json'"]
    if needs_key:
        lines.append('-H "Authorization: Bearer $UNROLL_API_KEY"')
    lines.append(f"-d {shlex.quote(json.dumps(wish, indent=2, ensure_ascii=False))}")
    return " \\\n  ".join(lines)


def _python(wish: dict[str, Any], url: str) -> str:
    spec = pformat(wish, sort_dicts=False, width=76).replace("\n", "\n        ")
    return (
        "from services.client.client import UnrollClient\n\n"
        f"with UnrollClient({url!r}) as client:\n"
        f"    job = client.submit(\n        {spec}\n    )\n"
        "    job = client.wait(job.id)\n"
    )


def _cli(wish: dict[str, Any]) -> str:
    first = ["unroll submit", f"--dataset {shlex.quote(wish['dataset'])}"]
    cell = wish["network"]["cell"]
    kind = cell if isinstance(cell, str) else cell["type"]
    rest = {**wish, "network": {**wish["network"], "cell": {} if cell == kind else cell}}
    sets = [
        f"--set {shlex.quote(f'{path}={_value(value)}')}"
        for path, value in paths(_without(rest, "dataset"))
        if path != "network.cell.type"
    ]
    return " \\\n  ".join([*first, f"--cell {kind}", *sets, "--watch"])


def paths(fields: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path and value of every leaf."""
    # `type` comes first: another type makes the options of the former one void
    for key, value in sorted(fields.items(), key=lambda field: field[0] != "type"):
        if isinstance(value, dict):
            yield from paths(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _value(value: Any) -> str:
    """JSON, but a text as it stands unless it would be read as something else."""
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        json.loads(value)
    except ValueError:
        return value
    return json.dumps(value)
