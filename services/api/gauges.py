"""Queue, workers and what they did so far, for Prometheus: read from the database when scraped.

Workers come and go and answer no HTTP, so that what they do is counted where they write it.
"""

from collections.abc import Iterator
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from shared.config import get_settings
from shared.db.counters import COUNTERS, CounterStore
from shared.db.engine import transaction
from shared.db.jobs import JobStore
from shared.db.workers import WorkerStore
from shared.jobs.states import JobStatus


class QueueCollector:
    """Answers a scrape; while the database is away it has nothing to say."""

    def collect(self) -> Iterator[Metric]:
        try:
            with transaction() as db:
                found = [*_gauges(db), *_counters(db)]
        except SQLAlchemyError:
            return
        yield from found

    def describe(self) -> list[Metric]:
        return []


def _gauges(db: Session) -> Iterator[Metric]:
    store = JobStore(db)
    counts, queue = store.count_by_status(), store.queue()
    yield _labelled(
        "unroll_jobs", "Jobs, by status", "status", dict.fromkeys(JobStatus, 0) | counts
    )
    depth = dict.fromkeys(map(str, range(10)), 0) | queue["by_priority"]
    yield _labelled("unroll_queue_depth", "Jobs that wait, by priority", "priority", depth)
    age, rate = queue["oldest_age_s"] or 0.0, store.steps_per_s()
    yield GaugeMetricFamily("unroll_queue_oldest_seconds", "How long the oldest waits", value=age)
    num_workers = WorkerStore(db).num_alive(get_settings().lease_s)
    yield GaugeMetricFamily("unroll_workers", "Workers with a fresh heartbeat", value=num_workers)
    yield GaugeMetricFamily("unroll_steps_per_second", "Steps of all running jobs", value=rate)


def _counters(db: Session) -> Iterator[Metric]:
    for name, values in CounterStore(db).all().items():
        counted = COUNTERS[name]
        labels = [counted.label] if counted.label else []
        family = CounterMetricFamily(f"unroll_{name}", counted.meaning, labels=labels)
        for label, value in values.items() if labels else [("", values.get("", 0))]:
            family.add_metric([label] if labels else [], value)
        yield family


def _labelled(name: str, meaning: str, label: str, values: dict[Any, Any]) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


_registered: list[QueueCollector] = []


def register_once() -> None:
    """An application may be made twice in a process, the registry is there once."""
    if not _registered:
        collector = QueueCollector()
        _registered.append(collector)
        REGISTRY.register(collector)
