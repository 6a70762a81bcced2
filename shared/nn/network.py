"""The whole network: symbols or numbers in, logits or values out, one mapping's shape.

Legend: B batch, T time, F features, E embedding, D width of a layer's output, K outputs.
"""

import torch
from torch import Tensor, nn

from shared.nn.catalog import embedding_size
from shared.nn.layer import last_outputs, merge
from shared.nn.spec import Mapping, NetworkSpec, Readout, Shape
from shared.nn.stack import Stack, StackState

UNKNOWN_SYMBOL = 0  # its vector is zero and is not trained


class Network(nn.Module):
    """many_to_one gives (B, K); many_to_many, aligned, gives (B, T, K)."""

    def __init__(self, spec: NetworkSpec, shape: Shape) -> None:
        super().__init__()
        self.spec, self.shape = spec, shape
        width = embedding_size(spec, shape)
        self.embedding: nn.Module = (
            nn.Embedding(shape.input_size, width, padding_idx=UNKNOWN_SYMBOL)
            if shape.input_kind == "tokens"
            else nn.Identity()
        )
        self.stack = Stack(spec, width)
        self.head = nn.Linear(spec.output_size, shape.output_size)

    def initial_state(self, batch_size: int) -> StackState:
        return self.stack.initial_state(batch_size, self.head.weight)

    def forward(
        self, x: Tensor, lengths_B: Tensor, state: StackState | None = None
    ) -> tuple[Tensor, StackState]:
        """Logits or values, and the state after the last column.

        x is (B, T) of symbol ids or (B, T, F) of numbers, padded at the end of each row.
        """
        if state is None:
            state = self.initial_state(x.shape[0])
        directions, after = self.stack(self.embedding(x), lengths_B, state)
        if self.shape.mapping is Mapping.MANY_TO_MANY:
            return self.head(merge(directions, self.spec.merge)), after
        return self.head(self._read(directions, lengths_B)), after

    def _read(self, directions: list[Tensor], lengths_B: Tensor) -> Tensor:
        """One vector (B, D) for a whole sequence."""
        if self.spec.readout is Readout.LAST:
            return merge(last_outputs(directions, lengths_B), self.spec.merge)
        h_BTD = merge(directions, self.spec.merge)
        real_BT1 = real_steps(lengths_B, h_BTD.shape[1]).unsqueeze(-1)
        return READOUTS[self.spec.readout](h_BTD, real_BT1)


def _mean(h_BTD: Tensor, real_BT1: Tensor) -> Tensor:
    return (h_BTD * real_BT1).sum(1) / real_BT1.sum(1)


def _max(h_BTD: Tensor, real_BT1: Tensor) -> Tensor:
    return h_BTD.masked_fill(~real_BT1, -torch.inf).amax(1)


READOUTS = {Readout.MEAN: _mean, Readout.MAX: _max}


def real_steps(lengths_B: Tensor, num_steps: int) -> Tensor:
    """Mask (B, T): which steps are real and which are padding."""
    return torch.arange(num_steps, device=lengths_B.device) < lengths_B.unsqueeze(1)
