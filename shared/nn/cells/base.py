"""What a cell is: whole sequences in, hidden states out; knows no particular equation.

Legend: B batch, T time, I input, H hidden, G rows of all gates (a multiple of H).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from shared.nn.cells.seen import Keep, Note, Seen, unseen
from shared.nn.kernels.whole import without_autocast

Array = NDArray[Any]
State = tuple[Tensor, ...]
"""What a step hands to the next, each tensor (B, H), the output first: (h,) or (h, c)."""
FEW_ROWS = 3
"""Sequences that take less time one after the other than side by side in a product. Measured with one
thread over 100 steps of two LSTM layers of 256 units, as milliseconds a row: alone 2.5, and in torch's
products 4.1 of two, 2.5 of four, 1.8 of thirty-two."""


@dataclass(frozen=True, slots=True)
class CellOptions:
    """What every cell can be asked beside its own equation."""

    layer_norm: bool = False
    """Normalised pre-activations (Ba et al. 2016, arXiv:1607.06450)."""
    recurrent_dropout: float = 0.0
    """One mask a sequence on the state that enters recurrent products (Gal & Ghahramani 2016).

    A chunk of a truncated sequence counts as a sequence: it draws a mask of its own.
    """

    def named(self) -> list[str]:
        """Options that are on, by the names a network's spec has for them."""
        return [field.name for field in fields(self) if getattr(self, field.name)]


class Recur(Protocol):
    def __call__(self, h_BH: Tensor, product: int = 0) -> Tensor:
        """What the state adds to the gates of one recurrent product."""


class Loop(Protocol):
    """A cell's weights as compiled loops read them, which must not change any more."""

    def __call__(self, x_BI: Array, state: tuple[Array, ...], after: tuple[Array, ...]) -> None:
        """Write the state after one more input, each array (B, H), its rows side by side."""

    def sequence(self, x_TI: Array, state: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        """h_TH of one sequence, and the state after it, each array (H)."""


class Cell(nn.Module, ABC):
    """One direction of one layer, unrolled over time.

    A subclass states its equation in `step`; where something faster computes the same, it says so
    in `sequence`. Weights have a block of H rows for each gate, in the order the subclass states.
    """

    num_gates: int
    """Blocks of H pre-activations."""
    num_states = 1
    """Tensors in a state."""
    products: tuple[int, ...]
    """Gates of each recurrent product, in the order of the gates; they are normalised together."""
    has_recurrent_bias = False
    """Whether there is a second bias, as in torch.nn, for weights to move there and back."""
    arrays: tuple[Seen, ...]
    """What a step notes, in the order of the equation; what the layer puts out comes last."""
    keep: Keep | None = None
    """Which share of its state a unit keeps at a step; None where no gate says so."""
    loop: Loop | None = None
    """Reads sequences that come alone, once weights do not change any more; see `shared.nn.steps`."""

    def __init__(self, input_size: int, hidden_size: int, options: CellOptions) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.options = input_size, hidden_size, options
        rows, recurrent_rows = self.num_gates * hidden_size, sum(self.products) * hidden_size
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size))
        if self.products:
            self.weight_hh = nn.Parameter(torch.empty(recurrent_rows, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(rows))
        if self.has_recurrent_bias:
            self.bias_hh = nn.Parameter(torch.empty(recurrent_rows))
        if options.layer_norm:
            self.gain_ih = nn.Parameter(torch.ones(rows))
            if self.products:
                self.gain_hh = nn.Parameter(torch.ones(recurrent_rows))

    def reset_parameters(self) -> None:
        """Glorot input weights, orthogonal recurrent weights gate by gate, zero biases."""
        with torch.no_grad():
            for block in self.weight_ih.split(self.hidden_size):
                nn.init.xavier_uniform_(block)
            if self.products:
                for block in self.weight_hh.split(self.hidden_size):
                    nn.init.orthogonal_(block)
            nn.init.zeros_(self.bias_ih)
            if self.has_recurrent_bias:
                nn.init.zeros_(self.bias_hh)

    def initial_state(self, batch_size: int, like: Tensor) -> State:
        """Zeros (B, H), on the device and in the type of `like`."""
        zeros = like.new_zeros(batch_size, self.hidden_size)
        return (zeros,) * self.num_states

    @abstractmethod
    def step(self, x_BG: Tensor, state: State, recur: Recur, note: Note = unseen) -> State:
        """The equation: from what the input gives to each gate, and the state, to the next state.

        It notes each of `arrays` on its way.
        """

    def forward(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:
        """All outputs h_BTH, and the state after the last column."""
        return self.run(x_BTI, state, self.draw_mask(state[0]))

    def draw_mask(self, h_BH: Tensor) -> Tensor | None:
        """What recurrent dropout keeps of each state (B, H), scaled; None where it rests."""
        if not self.training or not self.options.recurrent_dropout:
            return None
        return functional.dropout(torch.ones_like(h_BH), self.options.recurrent_dropout)

    def run(self, x_BTI: Tensor, state: State, keep_BH: Tensor | None) -> tuple[Tensor, State]:
        """As `forward`, with the mask of a sequence that other parts of it share.

        Under autocast a kernel's product of the inputs may be lowered; states never are.
        """
        if torch.is_autocast_enabled(x_BTI.device.type):
            kind = self.weight_ih.dtype
            x_BTI, state = x_BTI.to(kind), tuple(tensor.to(kind) for tensor in state)
        if self.options.layer_norm or keep_BH is not None:
            return self.optional(x_BTI, state, keep_BH)
        if self.loop is not None and len(x_BTI) <= FEW_ROWS and not torch.is_grad_enabled():
            return _one_by_one(self.loop, x_BTI, state)
        return self.sequence(x_BTI, state)

    def optional(self, x_BTI: Tensor, state: State, keep_BH: Tensor | None) -> tuple[Tensor, State]:
        """The same as `unroll`, with options, by whatever computes it fastest."""
        return self.unroll(x_BTI, state, keep_BH)

    def sequence(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:
        """The same as `unroll`, without options, by whatever computes it fastest."""
        return self.unroll(x_BTI, state)

    def unroll(
        self,
        x_BTI: Tensor,
        state: State,
        keep_BH: Tensor | None = None,
        note: Note = unseen,
    ) -> tuple[Tensor, State]:
        """Step after step; the reference that every faster path is compared with."""
        recur = self._recurrence(keep_BH)
        outputs = []
        with without_autocast(x_BTI):
            for x_BG in self.input_share(x_BTI).unbind(1):
                state = self.step(x_BG, state, recur, note)
                outputs.append(state[0])
        return torch.stack(outputs, 1), state

    def traced(self, x_BTI: Tensor, state: State) -> dict[str, Tensor]:
        """Each of `arrays` by its name, (B, T, H), computed step after step."""
        steps: dict[str, list[Tensor]] = {seen.name: [] for seen in self.arrays}
        self.unroll(x_BTI, state, note=lambda name, value_BH: steps[name].append(value_BH))
        return {name: torch.stack(values, 1) for name, values in steps.items()}

    def input_share(self, x_BTI: Tensor) -> Tensor:
        """What the inputs give to each gate, in one product for the whole sequence."""
        if not self.options.layer_norm:
            return functional.linear(x_BTI, self.weight_ih, self.bias_ih)
        x_BTG = functional.linear(x_BTI, self.weight_ih)
        blocks = self.products or (1,) * self.num_gates
        parts = zip(
            x_BTG.split(self._rows(blocks), -1), self.gain_ih.split(self._rows(blocks)), strict=True
        )
        return torch.cat([normalised(part, gain) for part, gain in parts], -1) + self.bias_ih

    def _rows(self, blocks: tuple[int, ...]) -> list[int]:
        return [gates * self.hidden_size for gates in blocks]

    def _recurrence(self, keep_BH: Tensor | None) -> Recur:
        rows, options = self._rows(self.products), self.options
        weights = self.weight_hh.split(rows) if rows else ()
        biases = self.bias_hh.split(rows) if self.has_recurrent_bias else ()
        gains = self.gain_hh.split(rows) if rows and options.layer_norm else ()

        def recur(h_BH: Tensor, product: int = 0) -> Tensor:
            kept_BH = h_BH if keep_BH is None else h_BH * keep_BH
            z_BG = functional.linear(kept_BH, weights[product])
            if gains:
                z_BG = normalised(z_BG, gains[product])
            return z_BG + biases[product] if biases else z_BG

        return recur


def _one_by_one(loop: Loop, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:
    arrays = [np.ascontiguousarray(each.numpy()) for each in (x_BTI, *state)]
    rows = zip(*arrays, strict=True)
    outputs, after = zip(
        *(loop.sequence(x_TI, tuple(state_H)) for x_TI, *state_H in rows), strict=True
    )
    states = (torch.from_numpy(np.stack(each)) for each in zip(*after, strict=True))
    return torch.from_numpy(np.stack(outputs)), tuple(states)


def normalised(z_BG: Tensor, gain_G: Tensor) -> Tensor:
    """Zero mean and unit variance over the last axis, times a learnt gain."""
    return functional.layer_norm(z_BG, z_BG.shape[-1:], gain_G)
