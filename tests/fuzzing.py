"""`python -m tests.fuzzing --cases 2000`: requests made up from the OpenAPI of both services.

No answer may be a 5xx, have a status that its operation does not announce, or a body that does not
fit the schema of its status.
"""

import argparse
import logging
import math
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import schemathesis
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.python import asgi
from schemathesis.specs.openapi import checks

from services.api.app import create_app as create_api
from services.inference.app import create_app as create_inference
from shared.db.engine import transaction
from shared.db.models import ModelStore
from tests.integration import seeding
from tests.integration.inference.publishing import publish
from tests.servers import make_template, throw_away_servers

APPS: tuple[Callable[[], FastAPI], ...] = (create_api, create_inference)
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
KNOWN_ODDS = 6  # one path in so many is made up, the others lead to something
SPARE = 4 / 3  # some operations have few different cases
UNLIMITED = {"rate_limit_per_s": "0"}


@dataclass
class Report:
    """What was asked, what came back, and what should not have."""

    statuses: Counter[int] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def num_cases(self) -> int:
        return sum(self.statuses.values())


def fill() -> dict[str, str]:
    """One of everything in the database; a value for every parameter of a path."""
    with TestClient(create_api()) as client:
        client.post("/v1/jobs", json=seeding.spec(model_name="net"))
        checkpoint = seeding.succeed(seeding.claimed())
        experiment = {"base": seeding.spec(), "vary": {"network.cell": ["lstm", "gru"]}}
        experiment_id = client.post("/v1/experiments", json=experiment).json()["id"]
        key = client.post("/v1/keys", json={"name": "fuzz", "scopes": ["admin"]}).json()
    publish("class", "class")
    headers = {"Authorization": f"Bearer {key['secret']}"}
    with TestClient(create_inference(), headers=headers) as client:
        session = client.post("/v1/models/class/sessions").json()
    with transaction() as db:
        assert ModelStore(db).version("class").version == 1
    return {
        "job_id": checkpoint.job_id,
        "checkpoint_id": checkpoint.id,
        "dataset": "digits",
        "name": "class",
        "version": "1",
        "alias": "production",
        "session_id": session["id"],
        "key_id": "key_00000000000000000000000000",
        "secret": key["secret"],
        "experiment_id": experiment_id,
    }


def fuzz(num_cases: int, places: dict[str, str], report: Report) -> None:
    """Ask both services, each operation equally often."""
    schemas = [_schema(create) for create in APPS]
    operations = [found.ok() for schema in schemas for found in schema.get_all_operations()]
    operations.sort(key=lambda operation: str(operation.method).lower() == "delete")
    each = math.ceil(num_cases * SPARE / len(operations))
    for operation in operations:
        with asgi.get_client(operation.app) as client:
            _fuzz_one(operation, each, places, client, report)


def _schema(create: Callable[[], FastAPI]) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", create())


def _fuzz_one(
    operation: Any, num_cases: int, places: dict[str, str], client: Any, report: Report
) -> None:
    modes = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
    good, bad = (operation.as_strategy(generation_mode=mode) for mode in modes)

    @seed(1)
    @settings(
        max_examples=num_cases,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=good | bad)
    def ask(case: Any) -> None:
        count = report.operations[operation.label]
        report.operations[operation.label] += 1
        if count % KNOWN_ODDS:
            _lead_somewhere(case, places)
        _check(case, client, report, operation.label)

    ask()


def _lead_somewhere(case: Any, places: dict[str, str]) -> None:
    """Let a case pass the door and find what its path and its spec name."""
    case.headers = {**(case.headers or {}), "Authorization": f"Bearer {places['secret']}"}
    found = (case.path_parameters or {}).items()
    case.path_parameters = {name: places.get(name, value) for name, value in found}
    body = case.body if isinstance(case.body, dict) else {}
    for spec in (body, body.get("base")):
        if isinstance(spec, dict) and "dataset" in spec:
            spec["dataset"] = places["dataset"]


def _check(case: Any, client: Any, report: Report, label: str) -> None:
    response = case.call(session=client)
    report.statuses[response.status_code] += 1
    wanted = CHECKS if is_late(response) else [not_a_server_error, *CHECKS]
    try:
        case.validate_response(response, checks=wanted)
    except (Exception, FailureGroup) as fault:  # a finding, and the next one is wanted
        report.faults.setdefault(f"{label} {response.status_code}", str(fault))


def is_late(response: Any) -> bool:
    """Whether a caller was refused for the little time that it gave: a 503 as asked for."""
    return response.status_code == 503 and b'"deadline_exceeded"' in response.content


@contextmanager
def servers_of_its_own() -> Iterator[None]:
    with throw_away_servers() as servers:
        make_template(servers)
        seeding.make_seeded_template(servers)
        with seeding.seeded_servers(servers), seeding.settings(**UNLIMITED):
            yield


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000, help="requests altogether")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    report, started = Report(), time.monotonic()
    with servers_of_its_own():
        fuzz(wanted.cases, fill(), report)
    seconds = time.monotonic() - started
    statuses = ", ".join(f"{status}: {n}" for status, n in sorted(report.statuses.items()))
    lines = [f"{where}\n{fault}\n" for where, fault in report.faults.items()]
    lines.append(
        f"{report.num_cases} cases on {len(report.operations)} operations in {seconds:.0f} s"
    )
    lines.append(f"statuses {statuses}; {len(report.faults)} kinds of fault")
    sys.stdout.write("\n".join(lines) + "\n")
    return int(bool(report.faults))


if __name__ == "__main__":
    sys.exit(main())
