"""The learning rate of each step: from its number, its epoch and, on a plateau, what was measured.

Each is the one of torch.optim.lr_scheduler by the same idea, written so that a training can go on
from any step without having lived through those before.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from workers.training.monitor import Monitor

Options = Mapping[str, Any]
Shape = Callable[[int, int], float]
"""From the steps done since the warm-up and the epochs done to a factor of the learning rate."""


@dataclass
class Plateau:
    """Drops when its metric has not improved for as many evaluations as its monitor has patience."""

    monitor: Monitor
    factor: float
    min_lr: float
    num_drops: int = 0

    def observe(self, metrics: dict[str, float], step: int) -> None:
        self.monitor.observe(metrics, step)
        if self.monitor.is_exhausted():
            self.num_drops += 1
            self.monitor.num_stale = 0

    def lowered(self, lr: float) -> float:
        return max(lr * self.factor**self.num_drops, min(lr, self.min_lr))


@dataclass
class Schedule:
    """A warm-up, a shape behind it, and the drops of a plateau."""

    peak: float
    """What the factors multiply."""
    shape: Shape
    warmup_steps: int = 0
    plateau: Plateau | None = None

    def lr_at(self, step: int, epoch: int) -> float:
        """Learning rate of the step with this number, the first being 1; the first epoch is 0."""
        if step <= self.warmup_steps:
            return self.peak * step / self.warmup_steps
        lr = self.peak * self.shape(step - 1 - self.warmup_steps, epoch)
        return lr if self.plateau is None else self.plateau.lowered(lr)

    def observe(self, metrics: dict[str, float], step: int) -> None:
        """Learn what an evaluation measured."""
        if self.plateau is not None:
            self.plateau.observe(metrics, step)

    def to_json(self) -> dict[str, Any]:
        """What was learnt from evaluations; empty where nothing is."""
        if self.plateau is None:
            return {}
        return {**self.plateau.monitor.to_json(), "num_drops": self.plateau.num_drops}

    def load(self, facts: dict[str, Any]) -> None:
        if self.plateau is not None:
            self.plateau.monitor.load(facts)
            self.plateau.num_drops = facts["num_drops"]


def build_schedule(options: Options, lr: float, total_steps: int) -> Schedule:
    """`options` are the fields of a schedule's spec, `lr` is the optimizer's."""
    warmup_steps = options.get("warmup_steps", 0)
    return Schedule(
        peak=options.get("max_lr") or lr,
        shape=SHAPES[options["type"]](options, max(1, total_steps - warmup_steps)),
        warmup_steps=warmup_steps,
        plateau=_plateau(options) if options["type"] == "plateau" else None,
    )


def _plateau(options: Options) -> Plateau:
    monitor = Monitor(options["metric"], options["mode"], options["patience"])
    return Plateau(monitor, options["factor"], options["min_lr"])


def _constant(options: Options, num_steps: int) -> Shape:
    return lambda done, epoch: 1.0


def _linear(options: Options, num_steps: int) -> Shape:
    return lambda done, epoch: 1.0 - min(1.0, done / num_steps)


def _cosine(options: Options, num_steps: int) -> Shape:
    return lambda done, epoch: _eased(1.0, 0.0, done / num_steps)


def _step(options: Options, num_steps: int) -> Shape:
    every, gamma = options["every"], options["gamma"]
    if options["unit"] == "steps":
        return lambda done, epoch: float(gamma ** (done // every))
    return lambda done, epoch: float(gamma ** (epoch // every))


def _one_cycle(options: Options, num_steps: int) -> Shape:
    """As torch has it: the peak is the last step on the way up, the end is the last step of all."""
    first = 1.0 / options["initial_div"]
    final = first / options["final_div"]
    peak_at, end_at = max(0.0, options["warmup_share"] * num_steps - 1), num_steps - 1

    def shape(done: int, epoch: int) -> float:
        if done <= peak_at:
            return _eased(first, 1.0, done / peak_at) if peak_at else 1.0
        return _eased(1.0, final, (done - peak_at) / (end_at - peak_at)) if done < end_at else final

    return shape


def _eased(start: float, end: float, done: float) -> float:
    """From one to the other in half a cosine."""
    return end + (start - end) / 2 * (1.0 + math.cos(math.pi * min(1.0, done)))


SHAPES: dict[str, Callable[[Options, int], Shape]] = {
    # the options, and the steps behind the warm-up, to a shape
    "constant": _constant,
    "linear": _linear,
    "cosine": _cosine,
    "step": _step,
    "plateau": _constant,
    "one_cycle": _one_cycle,
}
