"""Endpoints that are called at once, and the requests that the framework gets all the same."""

import asyncio
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send

from services.http.direct import CALLER_LEFT, DETOUR, DirectRoutes, NotDirect, include_direct
from shared.db.viewer import NOBODY, Viewer, view_as


class Wish(BaseModel):
    number: int


class Seen:
    """Lets in a viewer, and keeps the scope of the last request."""

    def __init__(self, app: ASGIApp, viewer: Viewer) -> None:
        self.app, self.viewer = app, viewer
        self.scope: Scope = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            view_as(self.viewer)
            self.scope = scope
        await self.app(scope, receive, send)


ME = Viewer("me", sees_all=False)
router = APIRouter(prefix="/things")


@router.post("/{name}/wish")
async def wish(
    name: str, body: Wish, request: Request, x_mood: Annotated[str | None, Header()] = None
) -> Response:
    return JSONResponse([name, body.number, x_mood])


@router.post("/{name}/raw")
async def raw(name: str, request: Request) -> Response:
    return Response(await request.body())


def made(viewer: Viewer = ME) -> tuple[TestClient, Seen]:
    app = FastAPI()
    app.include_router(router)
    include_direct(app, router)
    seen = Seen(app, viewer)
    return TestClient(seen), seen


def test_a_request_as_it_should_be_goes_there_at_once() -> None:
    client, seen = made()
    answer = client.post("/things/a b/wish", json={"number": 3})

    assert (answer.status_code, answer.json()) == (200, ["a b", 3, None])
    assert DETOUR not in seen.scope
    assert seen.scope["route"].path == "/things/{name}/wish"
    assert client.post("/things/x/raw", content=b"\0\1").content == b"\0\1"
    assert DETOUR not in seen.scope


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"json": {"number": "many"}}, 422),
        ({"content": "{", "headers": {"content-type": "application/json"}}, 422),
        ({"content": '{"number": 3}', "headers": {"content-type": "text/plain"}}, 422),
        ({}, 422),
        ({"json": {"number": 3}, "headers": {"x-mood": "good"}}, 200),
        (
            {
                "content": '{"number": 3}',
                "headers": {"content-type": "application/json; charset=utf-8"},
            },
            200,
        ),
    ],
    ids=["a wrong field", "no JSON", "another type", "no body", "a header", "a charset"],
)
def test_any_other_request_is_the_frameworks(given: dict[str, Any], status: int) -> None:
    client, seen = made()
    plain = FastAPI()
    plain.include_router(router)
    answer = client.post("/things/x/wish", **given)
    expected = TestClient(plain).post("/things/x/wish", **given)

    assert seen.scope[DETOUR]
    assert seen.scope["route"].path == "/things/{name}/wish"
    assert (answer.status_code, answer.json()) == (status, expected.json())


@pytest.mark.parametrize(("viewer", "method", "status"), [(NOBODY, "POST", 200), (ME, "GET", 405)])
def test_strangers_and_other_methods_are_the_frameworks(
    viewer: Viewer, method: str, status: int
) -> None:
    client, seen = made(viewer)
    answer = client.request(method, "/things/x/wish", json={"number": 3})

    assert answer.status_code == status
    assert seen.scope["endpoint"] is wish


def test_a_caller_who_leaves_while_sending_is_no_fault() -> None:
    _, seen = made()
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/things/x/wish",
        "query_string": b"",
        "headers": [],
    }
    sent = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(seen(scope, receive, send))

    assert sent[0]["status"] == CALLER_LEFT


def test_an_endpoint_that_needs_the_framework_is_refused_at_the_start() -> None:
    def nothing() -> None: ...

    async def with_query(name: str, request: Request, page: int) -> None: ...
    async def with_number(name: int, request: Request) -> None: ...
    async def with_dependency(request: Request, it: Annotated[None, Depends(nothing)]) -> None: ...
    async def without_request(name: str) -> None: ...
    async def with_duty(request: Request, x_mood: Annotated[str, Header()]) -> None: ...

    for number, endpoint in enumerate(
        (with_query, with_number, with_dependency, without_request, with_duty)
    ):
        other = APIRouter()
        other.post(f"/{number}/{{name}}")(endpoint)
        with pytest.raises(NotDirect, match=f"/{number}/"):
            DirectRoutes(other.routes)  # type: ignore[arg-type]
