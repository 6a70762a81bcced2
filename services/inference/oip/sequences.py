"""Sequences of the protocol as sessions, under ids that callers choose. Knows no route."""

from dataclasses import dataclass
from hashlib import sha256

from anyio import from_thread

from services.inference.oip.message import Parameters
from services.inference.oip.tensors import Array
from services.inference.registry import Loaded
from services.inference.sessions.engine import Sessions
from shared.db.viewer import current_viewer
from shared.jobs.errors import InvalidSpec, Malformed, SessionExpired, SessionNotFound


@dataclass(frozen=True, slots=True)
class Turn:
    """Which sequence a request goes on with; ids are the caller's own."""

    sequence_id: str
    starts: bool
    """Whether the state is new, whatever was kept under this id."""
    ends: bool
    """Whether nothing more will come: the state may be dropped."""


class Sequences:
    """Each caller has ids of its own for each model. Its methods are called from threads."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions

    def model_of(self, model: Loaded, turn: Turn) -> Loaded:
        """What a sequence goes on with: the version that it began with.

        Raises:
            Malformed: no such sequence has begun, or it has expired.
            ModelGone
        """
        if turn.starts:
            return model
        try:
            return self.sessions.model_of(_session_id(model, turn))
        except (SessionNotFound, SessionExpired) as error:
            raise Malformed(
                f"parameters.sequence_id: sequence {turn.sequence_id!r} has not begun, or has expired; "
                "send its first elements with sequence_start.",
                param="parameters.sequence_id",
            ) from error

    def advance(self, model: Loaded, elements: Array, turn: Turn) -> Array:
        """Activated outputs (T, K), one for each of the T encoded elements; the state is carried.

        A model that reads a sequence to one output gives that of all elements so far, each time.

        Raises:
            InvalidSpec: the model takes no sessions; the message says why.
            SessionsFull, Busy
        """
        session_id = _session_id(model, turn)
        if turn.starts:
            self.sessions.create(model, session_id=session_id)
        stepped = from_thread.run(self.sessions.step, session_id, lambda _: elements)
        if turn.ends:
            self.sessions.delete(session_id)
        outputs: Array = stepped.outputs_TK
        return outputs


def _session_id(model: Loaded, turn: Turn) -> str:
    """The same for the same caller, model and sequence in every replica."""
    parts = (current_viewer().owner, model.owner, model.name, turn.sequence_id)
    return "seq_" + sha256("\0".join(parts).encode()).hexdigest()[:32]


def turn_of(parameters: Parameters) -> Turn | None:
    """The turn that a request asks for; None where it stands alone.

    Raises:
        InvalidSpec: an id is missing, or is none.
    """
    sequence_id = parameters.get("sequence_id")
    if not sequence_id:
        if parameters.get("sequence_start") or parameters.get("sequence_end"):
            raise _unfit("sequence_start and sequence_end need a sequence_id")
        return None
    if type(sequence_id) not in (int, str):
        raise _unfit("sequence_id must be a string or a whole number")
    ends = bool(parameters.get("sequence_end"))
    return Turn(str(sequence_id), bool(parameters.get("sequence_start")), ends)


def check_rows(num_rows: int) -> None:
    """Raises InvalidSpec where a turn has more than its one row."""
    if num_rows != 1:
        raise _unfit(f"a sequence is one row a request, not {num_rows}")


def _unfit(message: str) -> InvalidSpec:
    return InvalidSpec(f"parameters: {message}.", param="parameters.sequence_id")
