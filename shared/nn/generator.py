"""A network that writes a sequence of its own length: one_to_many and encoder_decoder.

Legend: B batch, T input steps, S output steps, C width of the summary, K symbols.
"""

import torch
from torch import Tensor, nn

from shared.nn.catalog import embedding_size
from shared.nn.decoder import START_SYMBOL, Decoder, Memory
from shared.nn.layer import last_outputs, merge
from shared.nn.network import build_embedding
from shared.nn.readout import real_steps
from shared.nn.spec import NetworkSpec, Shape
from shared.nn.stack import Stack


class Generator(nn.Module):
    """A condition, or an encoder; then a decoder that starts where they end."""

    def __init__(self, spec: NetworkSpec, shape: Shape) -> None:
        super().__init__()
        assert shape.generates
        self.spec, self.shape = spec, shape
        self.embedding = build_embedding(spec, shape)
        self.stack = Stack(spec, embedding_size(spec, shape)) if shape.encodes else None
        self.decoder = Decoder(spec, shape)

    def encode(self, x: Tensor, lengths_B: Tensor) -> Memory:
        """Read the input: (B, T) symbol ids or (B, T, F) numbers, a condition being one step."""
        x_BTE = self.embedding(x)
        if self.stack is None:
            return self._remember(x_BTE[:, 0], x_BTE[:, :0], lengths_B)
        state = self.stack.initial_state(len(x), self.decoder.head.weight)
        directions, _ = self.stack(x_BTE, lengths_B, state)
        end_BC = merge(last_outputs(directions, lengths_B), self.spec.merge)
        return self._remember(end_BC, merge(directions, self.spec.merge), lengths_B)

    def _remember(self, summary_BC: Tensor, value_BTM: Tensor, lengths_B: Tensor) -> Memory:
        real_BT = real_steps(lengths_B, value_BTM.shape[1])
        return Memory(summary_BC, value_BTM, self.decoder.keys(value_BTM), real_BT)

    def forward(
        self, x: Tensor, lengths_B: Tensor, target_BS: Tensor, teacher_forcing: float = 1.0
    ) -> Tensor:
        """Logits (B, S, K) of each symbol of the target, given those before it.

        `teacher_forcing` is the chance of reading the true symbol before, drawn for each from
        torch's generator; otherwise the network's own likeliest one is read (Bengio et al. 2015).
        """
        memory = self.encode(x, lengths_B)
        read_BS = torch.cat([started(target_BS), target_BS[:, :-1]], dim=1)
        if teacher_forcing < 1:
            return self._sampled(read_BS, memory, teacher_forcing)
        logits_BSK: Tensor = self.decoder(read_BS, self.decoder.initial_state(memory), memory)[0]
        return logits_BSK

    def _sampled(self, read_BS: Tensor, memory: Memory, teacher_forcing: float) -> Tensor:
        logits_B1K: list[Tensor] = []
        state = self.decoder.initial_state(memory)
        for step in range(read_BS.shape[1]):
            symbol_B1 = read_BS[:, step : step + 1]
            if step > 0:
                own_B1 = logits_B1K[-1].argmax(-1)
                is_true_B1 = torch.rand(symbol_B1.shape, device=own_B1.device) < teacher_forcing
                symbol_B1 = torch.where(is_true_B1, symbol_B1, own_B1)
            logits, state = self.decoder(symbol_B1, state, memory)
            logits_B1K.append(logits)
        return torch.cat(logits_B1K, dim=1)


def started(like_BS: Tensor) -> Tensor:
    """A column (B, 1) of start symbols."""
    return torch.full_like(like_BS[:, :1], START_SYMBOL)
