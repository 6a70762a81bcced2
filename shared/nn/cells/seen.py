"""What can be seen inside a cell: the arrays of its equation by name. Knows no cell in particular.

Legend: H units.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

Kind = Literal["gate", "candidate", "cell_state", "hidden_units", "hidden_state"]
"""gate: from 0 to 1; hidden_state: what the layer hands on."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One array of an equation, H numbers a step."""

    name: str
    kind: Kind
    title: str


@dataclass(frozen=True, slots=True)
class Keep:
    """Which share of its state a unit keeps at a step: a gate, or what the gate leaves."""

    gate: str
    inverted: bool = False

    @property
    def formula(self) -> str:
        return f"1 - {self.gate}" if self.inverted else self.gate

    def share(self, gate: Tensor) -> Tensor:
        """The share kept (from 0 to 1), from the gate's values."""
        return 1 - gate if self.inverted else gate


HIDDEN = Seen("h", "hidden_state", "hidden state")
CANDIDATE_G = Seen("g", "candidate", "candidate for the cell state")
CANDIDATE_N = Seen("n", "candidate", "candidate for the hidden state")


class Note(Protocol):
    def __call__(self, name: str, value_BH: Tensor, /) -> None:
        """Takes an array of one step."""


def unseen(name: str, value_BH: Tensor, /) -> None:
    """Takes no note."""
