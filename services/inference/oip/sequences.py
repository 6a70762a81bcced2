"""What keeps the state of a `sequence_id` between requests: a place to plug it in. Keeps none itself."""

from dataclasses import dataclass
from typing import Protocol

from services.inference.oip.message import Parameters
from services.inference.oip.tensors import Array
from services.inference.registry import Loaded
from shared.jobs.errors import InvalidSpec, Malformed


@dataclass(frozen=True, slots=True)
class Turn:
    """Which sequence a request goes on with; ids are the caller's own."""

    sequence_id: str
    starts: bool
    """Whether the state is new, whatever was kept under this id."""
    ends: bool
    """Whether nothing more will come: the state may be dropped."""


class Sequences(Protocol):
    """A store of states, several requests at once and several replicas side by side."""

    is_there: bool
    """Whether any state can be kept."""

    def advance(self, model: Loaded, elements: Array, turn: Turn) -> Array:
        """Activated outputs (T, K), one for each of the T encoded elements; the state is carried.

        A model that reads a sequence to one output gives that of all elements so far, each time.
        Raises a `Fact`: no such sequence, an expired one, a model that reads in both directions.
        """
        ...


class NoSequences:
    """Where nothing keeps states."""

    is_there = False

    def advance(self, model: Loaded, elements: Array, turn: Turn) -> Array:
        raise Malformed(
            "parameters.sequence_id: this service keeps no state between requests; leave it out and "
            "send whole sequences.",
            param="parameters.sequence_id",
        )


def turn_of(parameters: Parameters, num_rows: int) -> Turn | None:
    """The turn that a request asks for; None where it stands alone.

    Raises:
        InvalidSpec: an id is missing or none, or there are several rows.
    """
    sequence_id = parameters.get("sequence_id")
    if not sequence_id:
        if parameters.get("sequence_start") or parameters.get("sequence_end"):
            raise _unfit("sequence_start and sequence_end need a sequence_id")
        return None
    if type(sequence_id) not in (int, str):
        raise _unfit("sequence_id must be a string or a whole number")
    if num_rows != 1:
        raise _unfit(f"a sequence is one row a request, not {num_rows}")
    ends = bool(parameters.get("sequence_end"))
    return Turn(str(sequence_id), bool(parameters.get("sequence_start")), ends)


def _unfit(message: str) -> InvalidSpec:
    return InvalidSpec(f"parameters: {message}.", param="parameters.sequence_id")
