"""A network that writes a sequence of its own length: one_to_many and encoder_decoder.

Legend: B batch, T input steps, S output steps, C width of the summary, K symbols, V numbers of a
step where numbers are written.
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

        Where numbers are written the target is (B, S, V) and the outputs are numbers, behind them a
        logit where the shape stops. `teacher_forcing` is the chance of reading the true symbol before, drawn for each from
        torch's generator; otherwise the network's own likeliest one is read (Bengio et al. 2015).
        """
        memory = self.encode(x, lengths_B)
        read_BS = torch.cat([started(target_BS), target_BS[:, :-1]], dim=1)
        if teacher_forcing < 1:
            return self._sampled(read_BS, memory, teacher_forcing)
        logits_BSK: Tensor = self.decoder(read_BS, self.decoder.initial_state(memory), memory)[0]
        return logits_BSK

    def written(self, output_BSK: Tensor) -> Tensor:
        """What a step's output says is written: the likeliest symbol (B, S), or numbers (B, S, V)."""
        if self.shape.writes == "numbers":
            return output_BSK[..., : self.shape.num_values]
        return output_BSK.argmax(-1)

    def _sampled(self, read_BS: Tensor, memory: Memory, teacher_forcing: float) -> Tensor:
        logits_B1K: list[Tensor] = []
        state = self.decoder.initial_state(memory)
        for step in range(read_BS.shape[1]):
            symbol_B1 = read_BS[:, step : step + 1]
            if step > 0:
                own_B1 = self.written(logits_B1K[-1]).to(symbol_B1.dtype)
                chance = torch.rand(own_B1.shape[:2], device=own_B1.device)
                is_true = (chance < teacher_forcing).view(-1, *(1,) * (own_B1.dim() - 1))
                symbol_B1 = torch.where(is_true, symbol_B1, own_B1)
            logits, state = self.decoder(symbol_B1, state, memory)
            logits_B1K.append(logits)
        return torch.cat(logits_B1K, dim=1)


def started(like_BS: Tensor) -> Tensor:
    """A column (B, 1) of start symbols; where numbers are written, (B, 1, V) of their means."""
    start = 0 if like_BS.is_floating_point() else START_SYMBOL
    return torch.full_like(like_BS[:, :1], start)
