"""A session's state on its way out and back in; what comes back must be ours and fit the model."""

from typing import Any

from numpy.typing import NDArray

from services.inference.registry import Loaded, Registry
from services.inference.sessions.seal import BadSeal, seal, unseal
from services.inference.sessions.state import NotAState, pack, unpack
from services.inference.sessions.store import Kept
from services.inference.sessions.views import StateView
from shared.db.models import LATEST
from shared.jobs.errors import InvalidSpec, ModelGone, ModelNotFound

FORMAT = "unroll-session/1"
State = tuple[NDArray[Any], int]
"""Numbers, and how many elements were read to get there."""


def export(kept: Kept) -> StateView:
    """The state with all that is needed to go on from it, signed."""
    facts, (state_S, _) = kept.facts, unpack(kept.state)
    metadata = {
        "format": FORMAT,
        "model": facts.model,
        "version": str(facts.version),
        "weights_sha256": facts.weights_sha256,
        "position": str(kept.position),
    }
    return StateView(
        model=facts.model,
        version=facts.version,
        position=kept.position,
        state=seal(pack(state_S, metadata)),
    )


def state_for(
    registry: Registry, name: str, version: str | None, sealed: str | None
) -> tuple[Loaded, State | None]:
    """The model of a new session and the state that it begins in; None for its beginning.

    A state brings its version along, unless another one is asked for.

    Raises:
        InvalidSpec: the state is not one of ours, or of another model.
        ModelNotFound, CorruptBlob
        ModelGone: the version of the state is no longer published.
    """
    if sealed is None:
        return registry.get(name, version or LATEST), None
    state_S, metadata = _opened(sealed)
    if metadata["model"] != name:
        raise _refused(f"it belongs to model {metadata['model']!r}")
    try:
        model = registry.get(name, version or metadata["version"])
    except ModelNotFound as error:
        if version is None:
            raise ModelGone(name, int(metadata["version"])) from error
        raise
    if model.weights_sha256 != metadata["weights_sha256"]:
        if version is None:
            raise ModelGone(name, int(metadata["version"]))
        raise _refused(f"it belongs to version {metadata['version']}")
    return model, (state_S, int(metadata["position"]))


def _opened(sealed: str) -> tuple[NDArray[Any], dict[str, str]]:
    try:
        state_S, metadata = unpack(unseal(sealed))
    except (BadSeal, NotAState) as error:
        raise _refused(str(error)) from error
    assert metadata["format"] == FORMAT  # signed by us
    return state_S, metadata


def _refused(reason: str) -> InvalidSpec:
    return InvalidSpec(
        f"state: not usable here: {reason}; send what GET /v1/sessions/{{id}}/state gave.",
        param="state",
    )
