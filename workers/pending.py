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
        """Values of the same names at once: one at a time costs training its interpreter."""
        alike: dict[tuple[str, ...], list[Measured]] = {}
        for measured in self.measured:
            alike.setdefault(tuple(measured[0]), []).append(measured)
        parts: dict[str, list[Curve]] = {}
        for own in alike.values():
            for curve in _curves(own):
                parts.setdefault(curve.name, []).append(curve)
        return [_joined(own) for own in parts.values()]


def _curves(measured: list[Measured]) -> list[Curve]:
    """One curve for each name; all have the same names."""
    values = np.array([list(named.values()) for named, *_ in measured], np.float64)
    steps = np.array([step for _, step, _, _ in measured], np.int64)
    epochs = np.array([epoch for _, _, epoch, _ in measured], np.float64)
    times = np.array([int(seconds * US) for *_, seconds in measured], np.int64)
    names = measured[0][0]
    return [
        Curve(name, steps, epochs, own, times) for name, own in zip(names, values.T, strict=True)
    ]


def _joined(parts: list[Curve]) -> Curve:
    """One curve in the order of its steps."""
    if len(parts) == 1:
        return parts[0]
    order = np.argsort(np.concatenate([part.steps for part in parts]), kind="stable")
    columns = [
        np.concatenate([getattr(part, column) for part in parts])[order]
        for column in ("steps", "epochs", "values", "times")
    ]
    return Curve(parts[0].name, *columns)


def _numbers(tensors: list[Tensor]) -> Floats:
    """One wait for a device, however many tensors there are."""
    numbers: Floats = torch.stack(tensors).double().cpu().numpy()
    return numbers
