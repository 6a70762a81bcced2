"""Steps and measured values on their way to curves; knows neither SQL nor when they are written."""

import time
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from shared.db.curves import Curve, Floats, Ints
from workers.training.loop import Step

US = 1_000_000
Measured = tuple[dict[str, float], int, float, float]
"""Values by name, step, epoch, seconds since 1970."""


@dataclass
class Pending:
    """`losses` and `norms` are those of `steps`, once they were read from their device."""

    steps: list[Step] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    losses: Floats = field(default_factory=lambda: np.empty(0))
    norms: Floats = field(default_factory=lambda: np.empty(0))

    def read(self) -> int | None:
        """Wait for the steps' tensors; the index of the first loss that is not finite."""
        self.losses = _numbers([step.loss for step in self.steps])
        self.norms = _numbers([step.grad_norm for step in self.steps])
        bad = ~np.isfinite(self.losses)
        return int(bad.argmax()) if bad.any() else None

    def cut(self, num_steps: int) -> None:
        self.steps = self.steps[:num_steps]
        self.losses, self.norms = self.losses[:num_steps], self.norms[:num_steps]

    def newest(self) -> dict[str, float]:
        """The last of the measured values, by name."""
        found: dict[str, float] = {}
        for values, *_ in self.measured:
            found.update(values)
        return found

    def curves(self, steps_per_epoch: int) -> list[Curve]:
        """All points by name, each curve in the order of its steps."""
        return [*self._of_steps(steps_per_epoch), *self._of_measured()]

    def _of_steps(self, steps_per_epoch: int) -> list[Curve]:
        if not self.steps:
            return []
        numbers: Ints = np.array([step.number for step in self.steps], np.int64)
        epochs = numbers / steps_per_epoch
        times = np.full(len(numbers), int(time.time() * US), np.int64)
        values = {
            "train/loss": self.losses,
            "train/grad_norm": self.norms,
            "train/lr": np.array([step.lr for step in self.steps], np.float64),
        }
        return [Curve(name, numbers, epochs, own, times) for name, own in values.items()]

    def _of_measured(self) -> list[Curve]:
        found: dict[str, list[tuple[int, float, float, float]]] = {}
        for values, step, epoch, seconds in self.measured:
            for name, value in values.items():
                found.setdefault(name, []).append((step, epoch, value, seconds))
        return [_curve(name, np.array(rows, np.float64)) for name, rows in found.items()]


def _curve(name: str, rows: Floats) -> Curve:
    """Columns step, epoch, value, seconds; a step is a whole number far below 2 ** 53."""
    steps, epochs, values, seconds = rows.T
    return Curve(name, steps.astype(np.int64), epochs, values, (seconds * US).astype(np.int64))


def _numbers(tensors: list[Tensor]) -> Floats:
    """One wait for a device, however many tensors there are."""
    numbers: Floats = torch.stack(tensors).double().cpu().numpy()
    return numbers
