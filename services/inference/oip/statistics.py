"""How often each model was asked in this process, and what that took. Knows no HTTP, no clock."""

import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Key = tuple[str, str, int]
"""Owner, name and version."""
PHASES = ("compute_input", "compute_infer", "compute_output")


@dataclass(slots=True)
class Duration:
    count: int = 0
    ns: int = 0

    def add(self, ns: int) -> None:
        self.count += 1
        self.ns += ns

    def to_json(self) -> dict[str, int]:
        return {"count": self.count, "ns": self.ns}


Durations = defaultdict[str, Duration]


def _durations() -> Durations:
    return defaultdict(Duration)


@dataclass(slots=True)
class _Counts:
    """Of one version of a model."""

    num_inferences: int = 0
    last_ms: int = 0
    total: Durations = field(default_factory=_durations)
    by_batch: defaultdict[int, Durations] = field(default_factory=lambda: defaultdict(_durations))

    def to_json(self, name: str, version: int) -> dict[str, Any]:
        named = ("success", "fail", "queue", *PHASES, "cache_hit", "cache_miss")
        batches = sorted(self.by_batch.items())
        return {
            "name": name,
            "version": str(version),
            "last_inference": self.last_ms,
            "inference_count": self.num_inferences,
            "execution_count": self.total["compute_infer"].count,
            "inference_stats": {phase: self.total[phase].to_json() for phase in named},
            "batch_stats": [
                {"batch_size": size, **{phase: found[phase].to_json() for phase in PHASES}}
                for size, found in batches
            ],
        }


class Statistics:
    """Counted since the process began. Any thread may write and read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: defaultdict[Key, _Counts] = defaultdict(_Counts)

    def succeeded(self, key: Key, num_rows: int, phases_ns: Iterable[int], now_ms: int) -> None:
        """A request with so many rows; nanoseconds of each of the `PHASES`."""
        with self._lock:
            counts = self._counts[key]
            counts.num_inferences += num_rows
            counts.last_ms = now_ms
            spent = dict(zip(PHASES, phases_ns, strict=True))
            for phase, ns in spent.items():
                counts.total[phase].add(ns)
                counts.by_batch[num_rows][phase].add(ns)
            counts.total["queue"].add(0)  # a request computes at once, in its own thread
            counts.total["success"].add(sum(spent.values()))

    def failed(self, key: Key, ns: int) -> None:
        with self._lock:
            self._counts[key].total["fail"].add(ns)

    def of(self, keys: Iterable[Key]) -> list[dict[str, Any]]:
        """As the protocol shows them, zeros for who was never asked."""
        with self._lock:
            return [self._counts.get(key, _Counts()).to_json(*key[1:]) for key in keys]

    def known(self) -> list[Key]:
        """Who was ever asked."""
        with self._lock:
            return sorted(self._counts)
