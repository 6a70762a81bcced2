"""What goes over the wire about sessions, in and out."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.inference.sessions.store import Kept


class CreateRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    state: Annotated[str, Field(max_length=100_000_000)] | None = None
    """An exported state to go on from; default: the beginning."""
    lifetime_s: Annotated[float, Field(ge=1, le=30 * 86_400, allow_inf_nan=False)] | None = None
    """How long the session lives without a step; default: as the operator chose."""


class StepRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    inputs: Annotated[list[Any] | str, Field(min_length=1)]
    """Elements of the input, as in the dataset; text is split into them."""
    position: Annotated[int, Field(ge=0)] | None = None
    """Elements that the session must have read before; else 409."""


class SessionView(BaseModel):
    """A session as it is now."""

    id: str
    object: Literal["session"] = "session"
    model: str
    version: int
    position: int
    """Elements read so far."""
    lifetime_s: float
    created_at: datetime
    expires_at: datetime


class StepView(BaseModel):
    """One output an element."""

    model: str
    version: int
    outputs: list[dict[str, Any]]
    position: int
    expires_at: datetime


class StateView(BaseModel):
    """A session's state, signed; for this service alone to read."""

    model: str
    version: int
    position: int
    state: str


def session_view(kept: Kept) -> SessionView:
    facts = kept.facts
    return SessionView(
        id=facts.id,
        model=facts.model,
        version=facts.version,
        position=kept.position,
        lifetime_s=facts.lifetime_s,
        created_at=moment(facts.created_at),
        expires_at=moment(kept.expires_at),
    )


def moment(seconds: float) -> datetime:
    """Seconds since 1970 as a time, whole milliseconds."""
    return datetime.fromtimestamp(round(seconds, 3), UTC)
