"""Where a decoder looks: queries against the keys of a sequence. Padding weighs nothing.

Legend: B batch, S output steps, T input steps, H decoder width, M encoder width, A score width.
Each step asks with its own state, after the recurrence (Luong et al. 2015), so that a sequence
whose symbols are known is one pass; scores are those of Bahdanau et al. 2015 or Luong et al. 2015.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from shared.nn.spec import Attention


class Look(nn.Module, ABC):
    """A weighted mean of the input's steps for each step of the output."""

    keys: nn.Linear
    """From values_BTM to keys, once a sequence."""

    @abstractmethod
    def score(self, query_BSH: Tensor, key_BTA: Tensor) -> Tensor:
        """How well each input step answers each query, (B, S, T)."""

    def forward(
        self, query_BSH: Tensor, key_BTA: Tensor, value_BTM: Tensor, real_BT: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The contexts (B, S, M) and the weights (B, S, T) that made them."""
        score_BST = self.score(query_BSH, key_BTA)
        weight_BST = score_BST.masked_fill(~real_BT.unsqueeze(1), -torch.inf).softmax(-1)
        return weight_BST @ value_BTM, weight_BST


class AdditiveLook(Look):
    """v · tanh(W query + U key) (Bahdanau, Cho and Bengio 2015)."""

    def __init__(self, query_size: int, value_size: int) -> None:
        super().__init__()
        self.keys = nn.Linear(value_size, query_size, bias=False)
        self.queries = nn.Linear(query_size, query_size, bias=False)
        self.scores = nn.Linear(query_size, 1, bias=False)

    def score(self, query_BSH: Tensor, key_BTA: Tensor) -> Tensor:
        mixed_BSTA = self.queries(query_BSH).unsqueeze(2) + key_BTA.unsqueeze(1)
        scores: Tensor = self.scores(mixed_BSTA.tanh()).squeeze(-1)
        return scores


class DotLook(Look):
    """query · (W key), Luong's general form, so that encoder and decoder may differ in width."""

    def __init__(self, query_size: int, value_size: int) -> None:
        super().__init__()
        self.keys = nn.Linear(value_size, query_size, bias=False)

    def score(self, query_BSH: Tensor, key_BTA: Tensor) -> Tensor:
        return query_BSH @ key_BTA.transpose(1, 2)


LOOKS: dict[Attention, type[AdditiveLook | DotLook]] = {
    Attention.ADDITIVE: AdditiveLook,
    Attention.DOT: DotLook,
}
