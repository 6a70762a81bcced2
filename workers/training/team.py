"""The processes that train one network together, as the loop sees them; knows no backend.

Legend: N real steps or sequences of a batch.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from shared.data.batching import Batch
from shared.nn.mappings import AnyNetwork

Parts = Mapping[str, Tensor]
"""What one process alone knows of the training's state, by name."""


class Team:
    """One process alone: every question answers itself."""

    rank, size = 0, 1
    is_idle = False
    """Whether this process has no rows of the present batch and computes one in vain."""

    def begin(self, network: AnyNetwork) -> None:
        """Called once, when the weights are those to begin with."""

    def forward(self, network: AnyNetwork) -> Callable[..., Any]:
        """What to call instead of the network, so that gradients are those of all rows."""
        return network

    def next_step(self, lr: float) -> float:
        """The learning rate of the next step, which the first process knows for all.

        Raises:
            Dismissed: there is no next step.
        """
        return lr

    def share(self, batch: Batch) -> Batch:
        """The rows of this process."""
        return batch

    def mean(self, losses_N: Tensor) -> tuple[Tensor, Tensor]:
        """The loss to descend from, and the mean over the rows of all processes."""
        loss = losses_N.mean()
        return loss, loss.detach()

    def gather(self, parts: Parts) -> list[Parts]:
        """The parts of every process, by rank; asked of the first one alone."""
        return [parts]

    def rows(self, tensor: Tensor) -> Tensor:
        """This process's rows of a tensor with those of all."""
        return tensor

    def dismiss(self) -> None:
        """There is no further step; asked of the first one alone."""


class Dismissed(Exception):
    """The first process has ended the training; the others have nothing left to do."""
