"""Writes a sequence step by step from what it is told at its start. Knows no encoder.

Legend: B batch, S output steps, T input steps, C width of the summary, M width of an input step,
H width of the decoder, K symbols.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from shared.nn.attention import LOOKS
from shared.nn.catalog import decoder_input_size, decoder_spec, summary_size, symbol_size
from shared.nn.spec import Attention, Condition, NetworkSpec, Shape
from shared.nn.stack import Stack, StackState

UNKNOWN_SYMBOL, START_SYMBOL, STOP_SYMBOL = 0, 1, 2  # as the vocabulary of a text target opens


@dataclass(frozen=True, slots=True)
class Memory:
    """What a decoder may consult; rows are sequences."""

    summary_BC: Tensor
    """The condition, or where the encoder ended."""
    value_BTM: Tensor
    """Every step of the encoder; no steps where there is none."""
    key_BTA: Tensor
    """What attention compares queries with."""
    real_BT: Tensor
    """Which steps are real."""

    def repeated(self, copies: int) -> "Memory":
        """Each row `copies` times, one after the other."""
        parts = (self.summary_BC, self.value_BTM, self.key_BTA, self.real_BT)
        return Memory(*(part.repeat_interleave(copies, dim=0) for part in parts))


class Bridge(nn.Module):
    """A linear map from the summary to every tensor of the decoder's initial state."""

    def __init__(self, summary_size: int, stack: Stack) -> None:
        super().__init__()
        template = stack.initial_state(1, torch.empty(0))
        self.sizes = [[[t.shape[-1] for t in cell] for cell in layer] for layer in template]
        total = sum(size for layer in self.sizes for cell in layer for size in cell)
        self.map = nn.Linear(summary_size, total)

    def forward(self, summary_BC: Tensor) -> StackState:
        flat = [size for layer in self.sizes for cell in layer for size in cell]
        parts = iter(self.map(summary_BC).split(flat, dim=-1))
        return tuple(
            tuple(tuple(next(parts).contiguous() for _ in cell) for cell in layer)
            for layer in self.sizes
        )


class Decoder(nn.Module):
    """Symbols so far in, logits of the next one out; a step at a time or all at once.

    A decoder that writes numbers reads numbers (B, S, V), and gives those of the next step, behind
    them the logit of its being the last one where the shape stops.
    """

    def __init__(self, spec: NetworkSpec, shape: Shape) -> None:
        super().__init__()
        own = decoder_spec(spec)
        self.tells_every_step = spec.condition is Condition.EVERY_STEP
        self.embedding = _reader(spec, shape)
        self.stack = Stack(own, decoder_input_size(spec, shape))
        self.bridge = Bridge(summary_size(spec, shape), self.stack)
        if spec.attention is not Attention.NONE:
            self.look = LOOKS[spec.attention](own.output_size, spec.output_size)
            self.mix = nn.Linear(own.output_size + spec.output_size, own.output_size)
        self.looks = spec.attention is not Attention.NONE
        self.head = nn.Linear(own.output_size, shape.output_size)

    def keys(self, value_BTM: Tensor) -> Tensor:
        """What attention will compare with; nothing where there is no attention."""
        return self.look.keys(value_BTM) if self.looks else value_BTM[..., :0]

    def initial_state(self, memory: Memory) -> StackState:
        state: StackState = self.bridge(memory.summary_BC)
        return state

    def forward(
        self, symbols_BS: Tensor, state: StackState, memory: Memory
    ) -> tuple[Tensor, StackState]:
        """Logits (B, S, K) of what follows each symbol, and the state after the last one."""
        num_rows, num_steps = symbols_BS.shape[:2]
        x_BSI = self.embedding(symbols_BS)
        if self.tells_every_step:
            told_BSC = memory.summary_BC.unsqueeze(1).expand(-1, num_steps, -1)
            x_BSI = torch.cat([x_BSI, told_BSC], dim=-1)
        lengths_B = symbols_BS.new_full((num_rows,), num_steps, dtype=torch.int64)
        [h_BSH], after = self.stack(x_BSI, lengths_B, state)
        if self.looks:
            context_BSM, _ = self.look(h_BSH, memory.key_BTA, memory.value_BTM, memory.real_BT)
            h_BSH = self.mix(torch.cat([h_BSH, context_BSM], dim=-1)).tanh()
        return self.head(h_BSH), after


def _reader(spec: NetworkSpec, shape: Shape) -> nn.Module:
    if shape.writes == "numbers":
        return nn.Identity()
    width = symbol_size(spec, shape)
    return nn.Embedding(shape.output_size, width, padding_idx=UNKNOWN_SYMBOL)


def map_state(state: StackState, change: Callable[[Tensor], Tensor]) -> StackState:
    """The same state with every tensor changed."""
    return tuple(
        tuple(tuple(change(tensor) for tensor in cell) for cell in layer) for layer in state
    )
