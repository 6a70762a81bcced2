"""The state of the queue as Prometheus gauges, read from the database when scraped."""

from collections.abc import Iterator

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy.exc import SQLAlchemyError

from shared.db.engine import transaction
from shared.db.jobs import JobStore
from shared.db.workers import WorkerStore


class QueueCollector:
    """Answers a scrape; while the database is away it has nothing to say."""

    def collect(self) -> Iterator[Metric]:
        try:
            with transaction() as db:
                store = JobStore(db)
                counts, queue = store.count_by_status(), store.queue()
                num_workers = len(WorkerStore(db).all())
        except SQLAlchemyError:
            return
        jobs = GaugeMetricFamily("unroll_jobs", "Jobs by status", labels=["status"])
        for status, count in counts.items():
            jobs.add_metric([status], count)
        yield jobs
        age = queue["oldest_age_s"] or 0.0
        yield GaugeMetricFamily("unroll_queue_oldest_seconds", "Age of the oldest", value=age)
        yield GaugeMetricFamily("unroll_workers", "Workers known", value=num_workers)

    def describe(self) -> list[Metric]:
        return []


_registered: list[QueueCollector] = []


def register_once() -> None:
    """An application may be made twice in a process, the registry is there once."""
    if not _registered:
        collector = QueueCollector()
        _registered.append(collector)
        REGISTRY.register(collector)
