"""What happens inside a network while it runs: every array of every cell at every step. No data.

Legend: T time, H hidden units. One sequence at a time.
"""

import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from shared.nn.cells.base import Cell, State
from shared.nn.cells.seen import Keep, Seen
from shared.nn.generator import Generator
from shared.nn.layer import Layer
from shared.nn.mappings import AnyNetwork
from shared.nn.network import Network
from shared.nn.stack import Stack

Part = Literal["network", "encoder", "decoder"]
Direction = Literal["forward", "backward"]
DIRECTIONS: tuple[Direction, Direction] = ("forward", "backward")
LOW, HIGH = 0.05, 0.95
"""A gate below or above is saturated."""
R = TypeVar("R")
N = TypeVar("N", bound=AnyNetwork)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cell stands."""

    part: Part
    layer: int
    """From 1."""
    direction: Direction
    cell: Cell

    @property
    def numbers_per_step(self) -> int:
        return self.cell.hidden_size * len(self.cell.arrays)


@dataclass(frozen=True, slots=True)
class CellTrace:
    """One direction of one layer, by its plain equation."""

    place: Place
    arrays: dict[str, Tensor]
    """(T, H) by name; row t belongs to element t of the sequence, also backwards."""
    max_difference: float
    """The largest difference of what it puts out from what the whole-sequence path did."""

    @property
    def put_out(self) -> Tensor:
        """What the layer's direction hands on, (T, H)."""
        return self.arrays[self.place.cell.arrays[-1].name]

    @property
    def num_steps(self) -> int:
        return len(self.put_out)


@dataclass(frozen=True, slots=True)
class Summary:
    """One array in a few numbers; shares for gates alone."""

    mean: float
    min: float
    max: float
    share_low: float | None
    share_high: float | None


@dataclass(slots=True)
class _Call:
    """What a cell was given, and what it made of it."""

    x_BTI: Tensor
    state: State
    h_BTH: Tensor


def places(network: nn.Module) -> Iterator[Place]:
    """Every cell: the encoder before the decoder, lower layers first, forward before backward."""
    for part, stack in _stacks(network):
        for number, layer in enumerate(stack.layers, 1):
            assert isinstance(layer, Layer)
            for direction, cell in zip(DIRECTIONS, layer.cells, strict=False):
                assert isinstance(cell, Cell)
                yield Place(part, number, direction, cell)


def _stacks(network: nn.Module) -> Iterator[tuple[Part, Stack]]:
    if isinstance(network, Generator):
        if network.stack is not None:
            yield "encoder", network.stack
        yield "decoder", network.decoder.stack
    elif isinstance(network, Network) and isinstance(network.stack, Stack):
        yield "network", network.stack


@torch.no_grad()
def trace(network: N, run: Callable[[N], R]) -> tuple[R, list[CellTrace]]:
    """What `run` makes of the network, and what went on in its cells meanwhile.

    `run` gets a double that shares the weights: a network that others use at the same time is not
    touched. It reads one sequence, at once or in pieces that follow one another. The arrays are
    computed from the inputs that each cell got, by its plain equation.
    """
    double = deepcopy(network, {id(weight): weight for weight in network.parameters()})
    calls: list[tuple[Place, list[_Call]]] = [(place, []) for place in places(double)]
    for place, seen in calls:
        place.cell.register_forward_hook(_watch(seen))
    result = run(double)
    return result, [_traced(place, seen) for place, seen in calls if seen]


def _watch(calls: list[_Call]) -> Callable[[nn.Module, Any, Any], None]:
    def hook(cell: nn.Module, given: tuple[Tensor, State], made: tuple[Tensor, State]) -> None:
        calls.append(_Call(*given, made[0]))

    return hook


def _traced(place: Place, calls: list[_Call]) -> CellTrace:
    x_BTI = torch.cat([call.x_BTI for call in calls], 1)
    fast_BTH = torch.cat([call.h_BTH for call in calls], 1)
    arrays = place.cell.traced(x_BTI, calls[0].state)
    put_out = arrays[place.cell.arrays[-1].name]
    difference = float((put_out - fast_BTH).abs().max())
    turned = [0] if place.direction == "backward" else []
    return CellTrace(
        place, {name: array[0].flip(turned) for name, array in arrays.items()}, difference
    )


def summarised(seen: Seen, array_TH: Tensor) -> Summary:
    is_gate = seen.kind == "gate"
    return Summary(
        mean=float(array_TH.mean()),
        min=float(array_TH.min()),
        max=float(array_TH.max()),
        share_low=float((array_TH < LOW).float().mean()) if is_gate else None,
        share_high=float((array_TH > HIGH).float().mean()) if is_gate else None,
    )


def half_lives(keep: Keep, gate_TH: Tensor) -> Tensor:
    """Steps after which half of what each unit holds is left, (H,); inf for what is all kept.

    What a unit holds is multiplied by the share k_t at each step, so after n steps by about exp of n
    times the mean of ln k_t: half of it is left after ln 2 / -mean(ln k_t) steps.
    """
    decay_H = -keep.share(gate_TH.double()).log().mean(0)
    return math.log(2) / decay_H.abs()  # the sign of a zero, which is all that it loses
