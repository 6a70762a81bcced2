"""Published models as lines of a list and as a page; made from what the API says of them."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.dashboard.views import words
from services.dashboard.views.curves import rank
from services.dashboard.views.snippets import Snippet
from shared.config import get_settings
from shared.db.tables import DatasetRow

SPLITS = ("test", "val", "train")


@dataclass(frozen=True, slots=True)
class VersionLine:
    version: int
    aliases: list[str]
    network: str
    mapping: str
    dataset: str
    metrics: str
    parameters: str
    checks: str
    """passed, pending, failed, or nothing where versions are not checked."""
    checks_about: str
    job_id: str | None
    download: str | None
    """Address of its weights, while their checkpoint is kept."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ModelLine:
    name: str
    newest: VersionLine
    num_versions: int


@dataclass(frozen=True, slots=True)
class Learnt:
    id: str
    name: str
    columns: str
    """From which to which, where it was a table whose columns were named."""


def learnt_from(row: DatasetRow) -> Learnt:
    options = row.options
    inputs = options.get("input_columns") or filter(None, [options.get("input_column")])
    said = ", ".join(inputs)
    target = options.get("target_column") or "next step"
    return Learnt(row.id, row.name, f"{said} → {target}" if said else "")


def model_line(view: Any) -> ModelLine:
    lines = version_lines(view)
    return ModelLine(view.name, lines[0], len(lines))


def version_lines(view: Any) -> list[VersionLine]:
    return [_line(each.model_dump()) for each in view.versions]


def _line(version: Mapping[str, Any]) -> VersionLine:
    checks, checkpoint = version.get("checks") or {}, version["checkpoint_id"]
    said = [checks.get("reason") or "", _latency(checks)]
    return VersionLine(
        version=version["version"],
        aliases=list(version.get("aliases") or ()),
        network=words.network({"network": version["network"]}),
        mapping=str(version["mapping"]).replace("_", " "),
        dataset=version["dataset"],
        metrics=_metrics(version["metrics"]),
        parameters=words.number(version["num_parameters"]),
        checks=checks.get("status", ""),
        checks_about=" ".join(filter(None, said)),
        job_id=version["job_id"],
        download=f"/ui/checkpoints/{checkpoint}/download" if checkpoint else None,
        created_at=version["created_at"],
    )


def _latency(checks: Mapping[str, Any]) -> str:
    if checks.get("latency_ms") is None:
        return ""
    return f"{checks['latency_ms']:.3g} ms for {checks['latency_steps']} steps"


def _metrics(metrics: Mapping[str, Any]) -> str:
    """Of the split that counts most, the first that there are."""
    ordered = sorted(metrics, key=lambda name: (_split(name), rank(name.partition("/")[2])))
    return " · ".join(f"{name} {words.number(metrics[name])}" for name in ordered[:3])


def _split(name: str) -> int:
    split = name.partition("/")[0]
    return SPLITS.index(split) if split in SPLITS else len(SPLITS)


def snippets(
    name: str, sample: Any, options: Mapping[str, Any], *, needs_key: bool
) -> list[Snippet]:
    """How programs call the model with the same input."""
    url = get_settings().inference_url
    body: dict[str, Any] = {"inputs": [sample]}
    if options:
        body["options"] = dict(options)
    return [
        Snippet("cli", "Command line", _cli(name, sample, options)),
        Snippet("python", "Python", _python(name, body, url)),
        Snippet("curl", "curl", _curl(name, body, url, needs_key)),
    ]


def _cli(name: str, sample: Any, options: Mapping[str, Any]) -> str:
    is_text = isinstance(sample, str)
    words_ = ["unroll", "predict", name, sample if is_text else json.dumps(sample)]
    words_ += ["--text"] if is_text else []
    for key, value in options.items():
        words_ += ["--option", f"{key}={value}"]
    return shlex.join(words_)


def _python(name: str, body: Mapping[str, Any], url: str) -> str:
    more = f", options={body['options']!r}" if "options" in body else ""
    return (
        "from services.client.client import UnrollClient\n\n"
        f"with UnrollClient(inference_url={url!r}) as client:\n"
        f"    found = client.predict({name!r}, {body['inputs']!r}{more})\n"
        "    print(found.outputs)\n"
    )


def _curl(name: str, body: Mapping[str, Any], url: str, needs_key: bool) -> str:
    lines = [f"curl {url}/v1/models/{name}/predict", "-H 'Content-Type: application/json'"]
    if needs_key:
        lines.append('-H "Authorization: Bearer $UNROLL_API_KEY"')
    lines.append(f"-d {shlex.quote(json.dumps(body, ensure_ascii=False))}")
    return " \\\n  ".join(lines)


def symbols_of(part: Mapping[str, Any], value: Any) -> Sequence[str]:
    """What a model of symbols reads at each step."""
    if part["kind"] != "tokens":
        return ()
    if isinstance(value, list):
        return [str(each) for each in value]
    return value.split() if part["tokens"] == "word" else list(str(value))
