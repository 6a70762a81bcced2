"""Every query about curves: written by COPY, read back in as many points as were asked for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, select, text
from sqlalchemy.orm import Session

from shared.db.tables import MetricRow


@dataclass(frozen=True, slots=True)
class Point:
    """One value of one curve."""

    name: str
    step: int
    epoch: float
    value: float
    time: datetime


COPY = "COPY metrics (job_id, name, step, value, epoch, time) FROM STDIN (FORMAT BINARY)"
TYPES = ("text", "text", "int8", "float8", "float8", "timestamptz")

# MATERIALIZED: without it, and without statistics yet, the bounds are found anew for every point.
DOWNSAMPLED = text("""
    WITH bounds AS MATERIALIZED (
        SELECT min(step) AS low, max(step) AS high, count(*) AS num
        FROM metrics WHERE job_id = :job_id AND name = :name AND step > :after
    ), points AS (
        SELECT step, value, epoch, time, low, high, num,
               value NOT IN ('NaN', 'Infinity', '-Infinity') AS is_finite,
               width_bucket(step, low, high + 1, :buckets) AS bucket
        FROM metrics, bounds WHERE job_id = :job_id AND name = :name AND step > :after
    ), ranked AS (
        SELECT *,
               row_number() OVER (PARTITION BY bucket, is_finite ORDER BY value, step) AS smallest,
               row_number() OVER (
                   PARTITION BY bucket, is_finite ORDER BY value DESC, step) AS largest
        FROM points
    )
    SELECT step, value, epoch, time FROM ranked
    WHERE num <= :max_points OR smallest = 1 OR largest = 1 OR step = high
    ORDER BY step
""")


# One probe of the primary key for each name: DISTINCT would read every point of the job.
NAMES = text("""
    WITH RECURSIVE found AS (
        (SELECT name FROM metrics WHERE job_id = :job_id ORDER BY name LIMIT 1)
        UNION ALL
        SELECT (SELECT metrics.name FROM metrics
                WHERE job_id = :job_id AND metrics.name > found.name
                ORDER BY metrics.name LIMIT 1)
        FROM found WHERE found.name IS NOT NULL
    )
    SELECT name FROM found WHERE name IS NOT NULL
""")


class MetricStore:
    def __init__(self, db: Session) -> None:
        self.db = db

    def add(self, job_id: str, points: Sequence[Point]) -> None:
        """Write points in one COPY; the caller's transaction fences them."""
        if not points:
            return
        driver: Any = self.db.connection().connection.driver_connection
        with driver.cursor() as cursor, cursor.copy(COPY) as copy:
            copy.set_types(TYPES)
            for p in points:
                copy.write_row((job_id, p.name, p.step, p.value, p.epoch, p.time))

    def forget_after(self, job_id: str, step: int) -> None:
        """Drop what an attempt wrote past the step where the next one resumes."""
        self.db.execute(delete(MetricRow).where(MetricRow.job_id == job_id, MetricRow.step > step))

    def names(self, job_id: str) -> Sequence[str]:
        """Names of the job's curves, in order."""
        return self.db.scalars(NAMES, {"job_id": job_id}).all()

    def series(
        self, job_id: str, name: str, max_points: int, after: int = -1
    ) -> Sequence[Row[Any]]:
        """Points (step, value, epoch, time) past step `after`, at most about `max_points`.

        Past that, each bucket of steps keeps its smallest and its largest finite value, so that no
        spike is lost, what is not finite likewise, and the curve keeps its last point.
        """
        wanted = {"job_id": job_id, "name": name, "max_points": max_points, "after": after}
        return self.db.execute(DOWNSAMPLED, {**wanted, "buckets": max(1, max_points // 2)}).all()

    def rows(self, job_id: str, names: Sequence[str]) -> Iterable[Row[Any]]:
        """Every point, for a download; streamed from the server."""
        columns = (
            MetricRow.name,
            MetricRow.step,
            MetricRow.epoch,
            MetricRow.value,
            MetricRow.time,
        )
        query = select(*columns).where(MetricRow.job_id == job_id)
        if names:
            query = query.where(MetricRow.name.in_(names))
        ordered = query.order_by(MetricRow.name, MetricRow.step)
        return self.db.execute(ordered.execution_options(yield_per=5000))
