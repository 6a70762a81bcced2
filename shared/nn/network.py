"""A network that gives one output a sequence or a step: many_to_one, aligned, one_to_one.

Legend: B batch, T time, F features, E embedding, D width of a layer's output, K outputs.
"""

from torch import Tensor, nn

from shared.nn.catalog import embedding_size
from shared.nn.decoder import UNKNOWN_SYMBOL
from shared.nn.feedforward import FeedForward
from shared.nn.layer import last_outputs, merge
from shared.nn.readout import build_pool, real_steps
from shared.nn.spec import Mapping, NetworkSpec, Shape
from shared.nn.stack import Stack, StackState


def build_embedding(spec: NetworkSpec, shape: Shape) -> nn.Module:
    """From symbol ids to vectors; numbers pass as they are."""
    if shape.input_kind == "numeric":
        return nn.Identity()
    width = embedding_size(spec, shape)
    # an unknown symbol is read as zeros, which are not trained
    return nn.Embedding(shape.input_size, width, padding_idx=UNKNOWN_SYMBOL)


class Network(nn.Module):
    """many_to_one and one_to_one give (B, K); many_to_many, aligned, gives (B, T, K)."""

    def __init__(self, spec: NetworkSpec, shape: Shape) -> None:
        super().__init__()
        assert not shape.generates
        self.spec, self.shape = spec, shape
        self.embedding = build_embedding(spec, shape)
        build_stack = FeedForward if shape.mapping is Mapping.ONE_TO_ONE else Stack
        self.stack = build_stack(spec, embedding_size(spec, shape))
        reads = shape.mapping is Mapping.MANY_TO_ONE
        self.pool = build_pool(spec.readout, spec.output_size) if reads else None
        self.head = nn.Linear(spec.output_size, shape.output_size)

    def initial_state(self, batch_size: int) -> StackState:
        state: StackState = self.stack.initial_state(batch_size, self.head.weight)
        return state

    def forward(
        self, x: Tensor, lengths_B: Tensor, state: StackState | None = None
    ) -> tuple[Tensor, StackState]:
        """Logits or values, and the state after the last column.

        x is (B, T) of symbol ids or (B, T, F) of numbers, padded at the end of each row; a
        category or a vector is one step.
        """
        if state is None:
            state = self.initial_state(x.shape[0])
        directions, after = self.stack(self.embedding(x), lengths_B, state)
        if self.shape.mapping is Mapping.MANY_TO_MANY:
            return self.head(merge(directions, self.spec.merge)), after
        return self.head(self._read(directions, lengths_B)), after

    def _read(self, directions: list[Tensor], lengths_B: Tensor) -> Tensor:
        """One vector (B, D) for a whole sequence."""
        if self.pool is None:
            return merge(last_outputs(directions, lengths_B), self.spec.merge)
        h_BTD = merge(directions, self.spec.merge)
        pooled: Tensor = self.pool(h_BTD, real_steps(lengths_B, h_BTD.shape[1]))
        return pooled
