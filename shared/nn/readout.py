"""From a sequence of states to one vector: how many_to_one reads. Padding never counts.

Legend: B batch, T time, D width.
"""

import torch
from torch import Tensor, nn

from shared.nn.spec import Readout


class MeanPool(nn.Module):
    """The mean over the real steps."""

    def forward(self, h_BTD: Tensor, real_BT: Tensor) -> Tensor:
        real_BT1 = real_BT.unsqueeze(-1)
        return (h_BTD * real_BT1).sum(1) / real_BT1.sum(1)


class MaxPool(nn.Module):
    """The largest value over the real steps, unit by unit."""

    def forward(self, h_BTD: Tensor, real_BT: Tensor) -> Tensor:
        return h_BTD.masked_fill(~real_BT.unsqueeze(-1), -torch.inf).amax(1)


class AttentionPool(nn.Module):
    """The mean over the real steps, weighted by softmax(v · tanh(W h + b)) (Yang et al. 2016)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(size, size)
        self.score = nn.Linear(size, 1, bias=False)

    def forward(self, h_BTD: Tensor, real_BT: Tensor) -> Tensor:
        score_BT = self.score(self.hidden(h_BTD).tanh()).squeeze(-1)
        weight_BT = score_BT.masked_fill(~real_BT, -torch.inf).softmax(-1)
        return torch.einsum("bt,btd->bd", weight_BT, h_BTD)


def build_pool(readout: Readout, size: int) -> nn.Module | None:
    """What makes one vector of all steps; None for the last state, which needs none of them."""
    pools = {Readout.MEAN: MeanPool, Readout.MAX: MaxPool}
    if readout is Readout.ATTENTION:
        return AttentionPool(size)
    return pools[readout]() if readout in pools else None


def real_steps(lengths_B: Tensor, num_steps: int) -> Tensor:
    """Mask (B, T): which steps are real and which are padding."""
    return torch.arange(num_steps, device=lengths_B.device) < lengths_B.unsqueeze(1)
