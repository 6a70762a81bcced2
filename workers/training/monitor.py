"""Which evaluation was the best, and whether it is time to stop waiting for a better one."""

import math
from dataclasses import dataclass
from typing import Any


@dataclass
class Monitor:
    """Watches one metric over the evaluations of a training."""

    metric: str
    mode: str  # min | max
    patience: int | None  # evaluations without an improvement; None = never stop early
    best_value: float | None = None
    best_step: int = 0
    num_stale: int = 0

    def observe(self, metrics: dict[str, float], step: int) -> bool:
        """Whether this evaluation is the best so far. NaN never is."""
        value = metrics.get(self.metric, math.nan)
        if math.isfinite(value) and (self.best_value is None or self._beats(value)):
            self.best_value, self.best_step, self.num_stale = value, step, 0
            return True
        self.num_stale += 1
        return False

    def is_exhausted(self) -> bool:
        return self.patience is not None and self.num_stale >= self.patience

    def rank(self, value: float) -> float:
        """Smaller is better, whatever the mode."""
        return value if self.mode == "min" else -value

    def to_json(self) -> dict[str, Any]:
        return {
            "best_value": self.best_value,
            "best_step": self.best_step,
            "num_stale": self.num_stale,
        }

    def load(self, facts: dict[str, Any]) -> None:
        self.best_value = facts["best_value"]
        self.best_step = facts["best_step"]
        self.num_stale = facts["num_stale"]

    def _beats(self, value: float) -> bool:
        assert self.best_value is not None
        return self.rank(value) < self.rank(self.best_value)
