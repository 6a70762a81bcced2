"""Endpoints whose callers wait for every millisecond: found and called without the framework's detours.

The framework looks through all routes twice and resolves dependencies one by one, which takes longer
than many a network. A request that is as an endpoint wants it goes there at once; any other goes on
to the framework, which finds out what is wrong with it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Match
from starlette.types import Message, Receive, Scope, Send

from shared.db.viewer import NOBODY, current_viewer

DETOUR = "unroll.detour"
"""In a scope that the framework is to see."""
JSON = "application/json"
CALLER_LEFT = 499  # nobody reads it; the count of requests has it


class NotDirect(TypeError):
    """An endpoint that takes more than its path, one body in JSON, the request and optional headers."""


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """What is called for a path."""

    route: APIRoute
    path: re.Pattern[str]
    method: str
    request: str
    """The parameter for the request."""
    body: tuple[str, type[BaseModel]] | None
    """The parameter for the body, and what that is."""
    headers: tuple[str, ...]
    """Headers that have a meaning here."""


class DirectRoutes(BaseRoute):
    """The first of an application's routes: an index of the endpoints that are called at once."""

    def __init__(self, routes: Sequence[APIRoute]) -> None:
        """Raises `NotDirect`."""
        self.endpoints = [_endpoint(route) for route in routes]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http" and DETOUR not in scope and current_viewer() != NOBODY:
            for endpoint in self.endpoints:
                found = endpoint.path.fullmatch(scope["path"])
                if found and scope["method"] == endpoint.method:
                    return Match.FULL, {"path_params": found.groupdict(), "endpoint": endpoint}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint: _Endpoint = scope["endpoint"]
        scope["route"] = endpoint.route
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            await Response(status_code=CALLER_LEFT)(scope, receive, send)
            return
        arguments = _arguments(endpoint, request, body)
        if arguments is None:
            scope[DETOUR] = True
            await request.app.router.app(scope, _again(body, receive), send)
            return
        response: Response = await endpoint.route.endpoint(**arguments)
        await response(scope, receive, send)


def include_direct(app: FastAPI, *routers: APIRouter) -> None:
    """Call all endpoints of these routers, which were included already, at once; raises `NotDirect`."""
    routes = [route for router in routers for route in router.routes]
    app.router.routes.insert(0, DirectRoutes([r for r in routes if isinstance(r, APIRoute)]))


def _endpoint(route: APIRoute) -> _Endpoint:
    takes = route.dependant
    bodies: list[tuple[str, Any]] = [
        (field.name, field.field_info.annotation) for field in takes.body_params
    ]
    is_simple = not (takes.dependencies or takes.query_params or takes.cookie_params)
    has_strings = all(field.field_info.annotation is str for field in takes.path_params)
    is_optional = not any(field.field_info.is_required() for field in takes.header_params)
    request = takes.request_param_name
    methods = list(route.methods or ())
    fits = is_simple and has_strings and is_optional and len(bodies) <= 1 and len(methods) == 1
    if request is None or not fits:
        raise NotDirect(f"{route.path} takes what only the framework can resolve")
    return _Endpoint(
        route=route,
        path=route.path_regex,
        method=methods[0],
        request=request,
        body=bodies[0] if bodies else None,
        headers=tuple(field.alias for field in takes.header_params),
    )


def _arguments(endpoint: _Endpoint, request: Request, body: bytes) -> dict[str, Any] | None:
    """What to call an endpoint with; None where the framework has to have a look."""
    headers = request.headers
    if any(name in headers for name in endpoint.headers):
        return None
    arguments = {**request.path_params, endpoint.request: request}
    if endpoint.body is not None:
        name, kind = endpoint.body
        if headers.get("content-type") != JSON:
            return None
        try:
            arguments[name] = kind.model_validate(orjson.loads(body))
        except (orjson.JSONDecodeError, ValidationError):
            return None
    return arguments


def _again(body: bytes, receive: Receive) -> Receive:
    """As before the body was read."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again
