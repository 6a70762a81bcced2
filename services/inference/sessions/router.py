"""The endpoints of sessions: made, stepped, forked, exported, deleted."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response
from sqlalchemy.orm import Session

from services.http.errors import CONFLICT, GONE, NOT_FOUND
from services.http.idempotency import Idempotency, once
from services.http.parsing import FastRoute
from services.inference.predictor import check_size, encode_at
from services.inference.presence import Timeout
from services.inference.registry import Loaded, Registry
from services.inference.serving import respond
from services.inference.sessions.engine import Array, Sessions
from services.inference.sessions.exports import export, state_for
from services.inference.sessions.views import (
    CreateRequest,
    SessionView,
    StateView,
    StepRequest,
    StepView,
    moment,
    session_view,
)

CREATES = {**NOT_FOUND, **CONFLICT}
EXISTS = {**NOT_FOUND, **CONFLICT, **GONE}
NOTHING = CreateRequest()
Wish = Annotated[CreateRequest, Body()]
router = APIRouter(prefix="/v1", tags=["sessions"], route_class=FastRoute)
steps = APIRouter(prefix="/v1", tags=["sessions"], route_class=FastRoute)
"""Called once for every element of every sequence."""


def sessions_of(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions


@router.post("/models/{name}/sessions", status_code=201, responses=CREATES)
def create_session(
    name: str, request: Request, idempotency: Idempotency, body: Wish = NOTHING
) -> SessionView:
    """A session with the newest version, at its beginning or in an exported state."""
    return _created(request, name, None, body, idempotency)


@router.post("/models/{name}/versions/{version}/sessions", status_code=201, responses=CREATES)
def create_session_of_version(
    name: str, version: str, request: Request, idempotency: Idempotency, body: Wish = NOTHING
) -> SessionView:
    """A session with one version, by number or `latest`."""
    return _created(request, name, version, body, idempotency)


@router.get("/sessions/{session_id}", responses=EXISTS)
def show_session(session_id: str, request: Request) -> SessionView:
    """Where a session stands."""
    return session_view(sessions_of(request).get(session_id))


@steps.post("/sessions/{session_id}/step", response_model=StepView, responses=EXISTS)
async def step_session(
    session_id: str, body: StepRequest, request: Request, timeout_s: Timeout = None
) -> Response:
    """Read elements, one or many, and answer each; all are read, or none."""
    return await respond(request, _stepped(request, session_id, body), timeout_s)


@router.post("/sessions/{session_id}/fork", status_code=201, responses=EXISTS)
def fork_session(session_id: str, request: Request, idempotency: Idempotency) -> SessionView:
    """A second session that goes on from where this one is."""
    made = once(idempotency, lambda _: _json(session_view(sessions_of(request).fork(session_id))))
    return SessionView.model_validate(made.body)


@router.get("/sessions/{session_id}/state", responses=EXISTS)
def export_session(session_id: str, request: Request) -> StateView:
    """The state, signed, to make a session of later."""
    return export(sessions_of(request).get(session_id))


@router.delete("/sessions/{session_id}", status_code=204, responses=EXISTS)
def delete_session(session_id: str, request: Request) -> None:
    """End a session."""
    sessions_of(request).delete(session_id)


def _created(
    request: Request,
    name: str,
    version: str | None,
    wish: CreateRequest,
    idempotency: dict[str, str] | None,
) -> SessionView:
    registry: Registry = request.app.state.registry

    def make(_: Session) -> dict[str, Any]:
        model, state = state_for(registry, name, version, wish.state)
        kept = sessions_of(request).create(model, state=state, lifetime_s=wish.lifetime_s)
        return _json(session_view(kept))

    return SessionView.model_validate(once(idempotency, make).body)


def _json(view: SessionView) -> dict[str, Any]:
    return view.model_dump(mode="json")


async def _stepped(request: Request, session_id: str, body: StepRequest) -> dict[str, Any]:
    def encode(model: Loaded) -> Array:
        x_T = encode_at(model, body.inputs, "inputs")
        check_size([x_T])
        return x_T

    stepped = await sessions_of(request).step(session_id, encode, body.position)
    describe = stepped.model.encoding.describe_step
    return {
        "model": stepped.model.name,
        "version": stepped.model.version,
        "outputs": [describe(output_K) for output_K in stepped.outputs_TK],
        "position": stepped.kept.position,
        "expires_at": moment(stepped.kept.expires_at),
    }
