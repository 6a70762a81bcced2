"""The client reaches every route of both services, and the command every method of the client."""

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import httpx
import pytest

from services.api.app import create_app
from services.client.client import UnrollClient, UnrollError
from services.client.inference import Session
from services.client.models import SessionFacts
from services.inference.app import create_app as create_inference_app

COMMANDS = Path(__file__).parents[3] / "services/client/commands"
FOR_OTHERS = {  # routes by their beginning, and who asks them
    "GET /healthz": "what watches over processes",
    "GET /metrics": "Prometheus",
    "GET /v2": "clients of the Open Inference Protocol",
    "POST /v2": "clients of the Open Inference Protocol",
}
NO_COMMAND = {  # methods, and what a shell has instead
    "close": "commands end by themselves",
    "generate": "`unroll generate` shows the sequence while it is written",
    "wait": "`unroll watch` follows the events",
    "keys": "`unroll keys` works on the database, so that a first key can be made",
    "create_key": "the same",
    "revoke_key": "the same",
}
FACTS = {"id": "x", "model": "x", "version": 1, "position": 0, "lifetime_s": 1.0}
FACTS |= dict.fromkeys(("created_at", "expires_at"), "2026-01-01T00:00:00Z")
PUBLIC = [name for name, _ in inspect.getmembers(UnrollClient) if not name.startswith("_")]


def samples_of(kind: Any, file: Path) -> list[Any]:
    """Values of an annotation: one of a type, each of a literal, none of what is not known."""
    known: dict[Any, Any] = {str: "x", int: 1, float: 0.0, bool: True, Any: {}, Path: file}
    known |= {Sequence: ["x"], Mapping: {}, dict: {}, list: ["x"], datetime: datetime.now(UTC)}
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    if kind in known:
        return [known[kind]]
    if get_origin(kind) in known:
        return [known[get_origin(kind)]]
    choices = [choice for choice in get_args(kind) if choice is not NoneType]
    return samples_of(Path if Path in choices else choices[0], file) if choices else []


def calls_of(method: Callable[..., Any], file: Path) -> Iterator[dict[str, Any]]:
    """Arguments: those that are needed, then each of the others beside them."""
    parameters = inspect.signature(method).parameters.values()
    named = [each for each in parameters if each.kind is not each.VAR_KEYWORD]
    needed = {
        each.name: samples_of(each.annotation, file)[0]
        for each in named
        if each.default is each.empty
    }
    yield needed
    for each in named:
        for value in samples_of(each.annotation, file):
            yield {**needed, each.name: value}


@pytest.fixture
def asked(tmp_path: Path) -> set[str]:
    """`METHOD /path` of every request that the client's methods make."""
    found: set[str] = set()
    file = tmp_path / "file"
    file.write_text("")

    def refuse(request: httpx.Request) -> httpx.Response:
        found.add(f"{request.method} {request.url.path}")
        return httpx.Response(404, json={"error": {"code": "not_found", "message": "no"}})

    with UnrollClient(transport=httpx.MockTransport(refuse)) as client:
        session = Session(client._inference, SessionFacts.model_validate(FACTS))
        methods = [getattr(client, name) for name in set(PUBLIC) - {"close"}]
        methods += [each for name, each in inspect.getmembers(session, inspect.ismethod)]
        for method in methods:
            if not method.__name__.startswith("_"):
                call_every_way(method, file)
    return found


def call_every_way(method: Callable[..., Any], file: Path) -> None:
    for arguments in calls_of(method, file):
        with suppress(UnrollError):
            answer = method(**arguments)
            if isinstance(answer, Iterator):
                next(answer, None)


def routes() -> list[str]:
    paths = [app().openapi()["paths"] for app in (create_app, create_inference_app)]
    return sorted(
        {
            f"{method.upper()} {path}"
            for service in paths
            for path, operations in service.items()
            for method in operations
        }
    )


def test_the_client_reaches_every_route_that_is_for_clients(asked: set[str]) -> None:
    patterns = {
        route: re.compile(re.sub(r"\{[^}]+\}", "[^/]+", route))
        for route in routes()
        if not route.startswith(tuple(FOR_OTHERS))
    }
    missing = [
        route for route, pattern in patterns.items() if not any(map(pattern.fullmatch, asked))
    ]

    assert len(patterns) > 20
    assert missing == [], "give UnrollClient a method, or say in FOR_OTHERS who asks them"


def used_by_commands() -> set[str]:
    """Names of what any module of the command asks of a `client`."""
    return {
        node.attr
        for file in COMMANDS.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "client"
    }


def test_the_command_uses_every_method_of_the_client() -> None:
    used = used_by_commands()
    nouns = {name.removesuffix("_page") for name in PUBLIC}  # one page of many, or all of them
    missing = [noun for noun in nouns if not {noun, f"{noun}_page"} & (used | set(NO_COMMAND))]

    assert sorted(missing) == [], "give `unroll` a command, or say in NO_COMMAND what there is"
    assert sorted(set(NO_COMMAND) & used) == []
    assert set(NO_COMMAND) <= set(PUBLIC)
