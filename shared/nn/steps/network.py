"""A network fed one element at a time, for many sequences side by side; knows no data and no torch run.

Legend: B rows, S numbers of a row's state, K outputs, H hidden, P numbers that a pool keeps.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from shared.nn.cells.base import Cell
from shared.nn.network import Network
from shared.nn.spec import Mapping
from shared.nn.stack import Stack
from shared.nn.steps.cells import Array, CellStep, State
from shared.nn.steps.pools import pool_step


class CannotStep(ValueError):
    """This network's outputs do not follow from the elements so far; the message says why."""


class Stepper:
    """What a network gives after each element, from a state of fixed size.

    A state is one row of numbers: every layer's (h, or h and c), lowest layer first, then what the
    readout keeps. Outputs equal those of the network over the elements so far, to rounding. Any
    number of threads may use one. It shares the memory of the network, which lies on the CPU and is
    not trained any more.
    """

    def __init__(self, network: Network) -> None:
        """Raises `CannotStep`."""
        _check(network)
        stack = network.stack
        assert isinstance(stack, Stack)
        self.residual = stack.residual
        self.embedding = _table(network.embedding)
        weight_KD, self.bias_K = (_array(each) for each in network.head.parameters())
        self.weight_DK = np.ascontiguousarray(weight_KD.T)
        self.cells = [CellStep(_only_cell(layer)) for layer in stack.layers]
        self.pool = pool_step(network.pool, network.spec.output_size)
        sizes = [cell.hidden_size for cell in self.cells for _ in range(cell.num_states)]
        ends = np.cumsum([*sizes, self.pool.num_kept]).tolist()
        self._parts = [slice(a, b) for a, b in zip([0, *ends], ends, strict=False)]
        self.state_size: int = ends[-1]
        self.dtype = self.bias_K.dtype

    def initial_state(self, num_rows: int = 1) -> Array:
        """(B, S) before the first element."""
        state_BS = np.zeros((num_rows, self.state_size), self.dtype)
        state_BS[:, self._parts[-1]] = self.pool.first
        return state_BS

    def step(self, x_B: Array, state_BS: Array) -> tuple[Array, Array]:
        """Logits or values (B, K) after one more element, and the state then.

        x is (B,) of symbol ids or (B, F) of numbers.
        """
        after_BS = np.empty_like(state_BS)
        parts = iter(self._parts)
        below: Array = (
            x_B.astype(self.dtype, copy=False) if self.embedding is None else self.embedding[x_B]
        )
        for index, cell in enumerate(self.cells):
            places = [next(parts) for _ in range(cell.num_states)]
            after: State = tuple([after_BS[:, place] for place in places])
            cell(below, tuple([state_BS[:, place] for place in places]), after)
            below = after[0] + below if self.residual and index else after[0]
        kept = next(parts)
        read_BD, after_BS[:, kept] = self.pool(below, state_BS[:, kept])
        output_BK: Array = read_BD @ self.weight_DK
        output_BK += self.bias_K
        return output_BK, after_BS

    def run(self, sequences: Sequence[Array], state_BS: Array) -> tuple[list[Array], Array]:
        """Outputs (T, K) of each sequence, which go on from a row of the state each; the states then.

        Sequences are (T,) or (T, F), at least one step long, and may differ in length.
        """
        order = sorted(range(len(sequences)), key=lambda row: -len(sequences[row]))
        state_BS = state_BS[order]
        outputs: list[list[Array]] = [[] for _ in sequences]
        for t in range(len(sequences[order[0]])):
            rows = [row for row in order if len(sequences[row]) > t]
            x_B = np.stack([sequences[row][t] for row in rows])
            output_BK, state_BS[: len(rows)] = self.step(x_B, state_BS[: len(rows)])
            for row, output_K in zip(rows, output_BK, strict=True):
                outputs[row].append(output_K)
        after_BS = np.empty_like(state_BS)
        after_BS[order] = state_BS
        return [np.stack(steps) for steps in outputs], after_BS


REASONS = (
    (
        lambda network: network.spec.bidirectional,
        "it is bidirectional: its backward direction starts at an end that has not come yet",
    ),
    (
        lambda network: network.shape.mapping is Mapping.ONE_TO_ONE,
        "its input is no sequence (one_to_one): there are no steps to carry a state over",
    ),
)


def _check(network: Network) -> None:
    for applies, reason in REASONS:
        if applies(network):
            raise CannotStep(reason)


def _only_cell(layer: nn.Module) -> Cell:
    [cell] = layer.cells  # type: ignore[misc] # a layer's list of cells, as torch types it
    assert isinstance(cell, Cell)
    return cell


def _array(parameter: Tensor) -> Array:
    array: Array = parameter.detach().numpy()
    return array


def _table(embedding: nn.Module) -> Array | None:
    """Vectors by symbol; None where numbers pass as they are."""
    return _array(embedding.weight) if isinstance(embedding, nn.Embedding) else None
