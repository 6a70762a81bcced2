"""Which hidden size gives a network a number of parameters. Counts by the formulas, no tensor."""

from dataclasses import dataclass

from shared.nn.catalog import num_parameters
from shared.nn.spec import MAX_HIDDEN_SIZE, NetworkSpec, Shape, Units

TOLERANCE = 0.05
"""How far from the base's number of parameters an arm may be, as a share of it."""


@dataclass(frozen=True, slots=True)
class Matching:
    """How equal the arms of an experiment were made."""

    target: int
    """Parameters of the base."""
    tolerance: float
    largest_deviation: float
    """Of any arm from the target, as a share of it."""


def matched(network: NetworkSpec, shape: Shape, target: int) -> NetworkSpec:
    """The network with the hidden size that brings it nearest to `target` parameters.

    Sizes of layers keep their ratios, to rounding. Of two sizes that are as near, the smaller wins.
    """
    low, high = 1, MAX_HIDDEN_SIZE  # the smallest width that reaches the target lies within
    while low < high:
        middle = (low + high) // 2
        if num_parameters(widened(network, middle), shape) < target:
            low = middle + 1
        else:
            high = middle
    candidates = [widened(network, width) for width in (max(1, low - 1), low)]
    return min(candidates, key=lambda each: abs(num_parameters(each, shape) - target))


def widened(network: NetworkSpec, width: int) -> NetworkSpec:
    """The network with `width` units in its widest layer."""
    size: Units = width
    if isinstance(network.hidden_size, tuple):
        widest = max(network.hidden_size)
        size = tuple(max(1, round(each * width / widest)) for each in network.hidden_size)
    return network.model_copy(update={"hidden_size": size})


def deviation(count: int, target: int) -> float:
    """How far from the target, as a share of it."""
    return abs(count - target) / target
