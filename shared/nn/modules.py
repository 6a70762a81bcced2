"""Our cells behind torch.nn's own interface; knows nothing of specs of networks, heads or jobs.

Legend: B batch, T time, I input, H hidden, K layers times directions (layer 0 forward, layer 0
backward, layer 1 forward, ...), D directions.
"""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from shared.nn.cells.base import Cell, CellOptions, State
from shared.nn.cells.registry import build_cell
from shared.nn.layer import reorder, reversed_order
from shared.nn.spec import (
    ElmanSpec,
    GruSpec,
    JordanSpec,
    LstmSpec,
    MguSpec,
    MinGruSpec,
    MinLstmSpec,
    Spec,
)

Sequences = TypeVar("Sequences", Tensor, PackedSequence)


class Recurrent(nn.Module):
    """Layers of one cell, called as torch.nn.LSTM is.

    Input is (T, B, I), (B, T, I) when `batch_first`, (T, I) for one sequence without a batch, or a
    PackedSequence; the output has its form, D·H wide. `hx` and the last states are (K, B, H), a
    pair of them for cells with a cell state. `dropout` acts between layers. Weights start as our
    cells' do: Glorot, orthogonal, open forget gates.
    """

    def __init__(
        self,
        cell: Spec,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        layer_norm: bool = False,
        recurrent_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.batch_first, self.dropout, self.bidirectional = batch_first, dropout, bidirectional
        self.num_directions = 2 if bidirectional else 1
        options = CellOptions(layer_norm, recurrent_dropout)
        widths = [input_size] + [self.num_directions * hidden_size] * (num_layers - 1)
        self.cells = nn.ModuleList(
            build_cell(cell, width, hidden_size, options)
            for width in widths
            for _ in range(self.num_directions)
        )

    def forward(self, input: Sequences, hx: Any = None) -> tuple[Sequences, Any]:
        """All outputs in the form of the input, and the last states as `hx`.

        Raises:
            ValueError: the input is not as wide as `input_size`, or `hx` does not fit.
        """
        if isinstance(input, PackedSequence):
            return self._packed(input, hx)
        if input.dim() == 2:
            one, state = self._padded(input.unsqueeze(self._batch_dim), _map(hx, _with_batch))
            return one.squeeze(self._batch_dim), _map(state, _without_batch)
        return self._padded(input, hx)

    @property
    def _batch_dim(self) -> int:
        return 0 if self.batch_first else 1

    def _padded(self, x: Tensor, hx: Any) -> tuple[Tensor, Any]:
        x_BTI = x if self.batch_first else x.transpose(0, 1)
        lengths = [x_BTI.shape[1]] * x_BTI.shape[0]
        h_BTD, state = self._layers(x_BTI, lengths, hx)
        return (h_BTD if self.batch_first else h_BTD.transpose(0, 1)), state

    def _packed(self, packed: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        """In the order of the pack: the longest sequence first."""
        in_order = PackedSequence(packed.data, packed.batch_sizes)
        x_BTI, lengths_B = pad_packed_sequence(in_order, batch_first=True)
        hx = _map(hx, lambda h_KBH: _permuted(h_KBH, packed.sorted_indices))
        h_BTD, state = self._layers(x_BTI, lengths_B.tolist(), hx)
        data = pack_padded_sequence(h_BTD, lengths_B, batch_first=True).data
        output = PackedSequence(
            data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices
        )
        return output, _map(state, lambda h_KBH: _permuted(h_KBH, packed.unsorted_indices))

    def _layers(self, x_BTD: Tensor, lengths: list[int], hx: Any) -> tuple[Tensor, Any]:
        if x_BTD.shape[-1] != self.input_size:
            raise ValueError(
                f"input has {x_BTD.shape[-1]} features, input_size is {self.input_size}"
            )
        states, after = self._states(x_BTD, hx), []
        for layer in range(self.num_layers):
            first = layer * self.num_directions
            outputs = []
            for index in range(first, first + self.num_directions):
                h_BTH, state = self._direction(index, x_BTD, lengths, states[index])
                outputs.append(h_BTH)
                after.append(state)
            x_BTD = torch.cat(outputs, -1)
            if layer < self.num_layers - 1:
                x_BTD = functional.dropout(x_BTD, self.dropout, self.training)
        stacked = tuple(torch.stack(each) for each in zip(*after, strict=True))
        return x_BTD, (stacked if len(stacked) > 1 else stacked[0])

    def _direction(
        self, index: int, x_BTI: Tensor, lengths: list[int], state: State
    ) -> tuple[Tensor, State]:
        cell = self.cells[index]
        assert isinstance(cell, Cell)
        if index % self.num_directions == 0:
            return run_longest_first(cell, x_BTI, lengths, state)
        lengths_B = torch.tensor(lengths, device=x_BTI.device)
        order_BT = reversed_order(lengths_B, x_BTI.shape[1])
        h_BTH, after = run_longest_first(cell, reorder(x_BTI, order_BT), lengths, state)
        return reorder(h_BTH, order_BT), after

    def _states(self, x_BTI: Tensor, hx: Any) -> list[State]:
        """One state for each cell."""
        cell = self.cells[0]
        assert isinstance(cell, Cell)
        if hx is None:
            return [cell.initial_state(x_BTI.shape[0], x_BTI)] * len(self.cells)
        given = hx if isinstance(hx, tuple) else (hx,)
        shape = (len(self.cells), x_BTI.shape[0], self.hidden_size)
        if len(given) != cell.num_states or any(tuple(h.shape) != shape for h in given):
            shapes = ", ".join(str(tuple(h.shape)) for h in given)
            raise ValueError(f"hx has {shapes}; {cell.num_states} of {shape} are needed")
        return list(zip(*(h_KBH.unbind(0) for h_KBH in given), strict=True))

    def load_torch(self, module: nn.RNNBase) -> None:
        """Take the weights of torch.nn's module of the same kind and size.

        Raises:
            RuntimeError: this cell has other parameters than torch's.
        """
        suffixes = ("", "_reverse")[: self.num_directions]
        names = [f"_l{layer}{suffix}" for layer in range(self.num_layers) for suffix in suffixes]
        for cell, name in zip(self.cells, names, strict=True):
            parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            cell.load_state_dict({part: module.get_parameter(part + name) for part in parts})


def run_longest_first(
    cell: Cell, x_BTI: Tensor, lengths: list[int], state: State
) -> tuple[Tensor, State]:
    """One cell over rows in descending order of length, never a step past a row's end.

    Returns h_BTH, zero where a row has ended, and each row's own last state.
    """
    keep_BH, outputs, ended = cell.draw_mask(state[0]), [], []
    start, alive = 0, len(lengths)
    for end in sorted(set(lengths)):
        keep = None if keep_BH is None else keep_BH[:alive]
        h_BTH, state = cell.run(x_BTI[:alive, start:end], state, keep)
        outputs.append(functional.pad(h_BTH, (0, 0, 0, 0, 0, len(lengths) - alive)))
        start, alive = end, sum(length > end for length in lengths)
        ended.append(tuple(each[alive:] for each in state))
        state = tuple(each[:alive] for each in state)
    last = tuple(torch.cat(each) for each in zip(*reversed(ended), strict=True))
    return torch.cat(outputs, 1), last


def _map(hx: Any, change: Any) -> Any:
    if hx is None:
        return None
    return tuple(map(change, hx)) if isinstance(hx, tuple) else change(hx)


def _with_batch(h_KH: Tensor) -> Tensor:
    return h_KH.unsqueeze(1)


def _without_batch(h_KBH: Tensor) -> Tensor:
    return h_KBH.squeeze(1)


def _permuted(h_KBH: Tensor, order: Tensor | None) -> Tensor:
    return h_KBH if order is None else h_KBH.index_select(1, order)


class RNN(Recurrent):
    """As torch.nn.RNN; `nonlinearity` may be sigmoid too."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        **options: Any,
    ) -> None:
        cell = ElmanSpec.model_validate({"activation": nonlinearity})
        super().__init__(cell, input_size, hidden_size, num_layers, **options)


class LSTM(Recurrent):
    """As torch.nn.LSTM, with peepholes and coupled gates."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        peephole: bool = False,
        coupled_gates: bool = False,
        forget_bias: float = 1.0,
        **options: Any,
    ) -> None:
        cell = LstmSpec(peephole=peephole, coupled_gates=coupled_gates, forget_bias=forget_bias)
        super().__init__(cell, input_size, hidden_size, num_layers, **options)


class GRU(Recurrent):
    """As torch.nn.GRU; `reset_after=False` is the form of the paper."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        reset_after: bool = True,
        **options: Any,
    ) -> None:
        cell = GruSpec(reset_after=reset_after)
        super().__init__(cell, input_size, hidden_size, num_layers, **options)


class Jordan(Recurrent):
    """Jordan's network: outputs are the units that are fed back."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        activation: str = "tanh",
        output_activation: str = "tanh",
        **options: Any,
    ) -> None:
        wanted = {"activation": activation, "output_activation": output_activation}
        cell = JordanSpec.model_validate(wanted)
        super().__init__(cell, input_size, hidden_size, num_layers, **options)


class MGU(Recurrent):
    """The minimal gated unit."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, **options: Any):
        super().__init__(MguSpec(), input_size, hidden_size, num_layers, **options)


class MinGRU(Recurrent):
    """minGRU."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, **options: Any):
        super().__init__(MinGruSpec(), input_size, hidden_size, num_layers, **options)


class MinLSTM(Recurrent):
    """minLSTM."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, **options: Any):
        super().__init__(MinLstmSpec(), input_size, hidden_size, num_layers, **options)
