"""Every query about curves: written by COPY, read back in as many points as were asked for.

Beside the points stand the extremes of every 128 steps, so that a long curve is drawn from those.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, delete, select, text
from sqlalchemy.orm import Session

from shared.db.curves import (
    BLOCK_BITS,
    COPY_END,
    COPY_HEADER,
    Curve,
    Point,
    blocks_of,
    copy_rows,
    curves_of,
)
from shared.db.tables import MetricBlockRow, MetricRow

__all__ = ["Curve", "MetricStore", "Point"]
MOST_READ = 20_000  # points that are ranked one by one; past that, their blocks are
COPY = "COPY metrics (job_id, name, step, value, epoch, time) FROM STDIN (FORMAT BINARY)"

MERGE_BLOCKS = """
    INSERT INTO metric_blocks AS old
        (job_id, name, block, num, min_value, min_step, max_value, max_step, odd_step)
    SELECT %s, * FROM unnest(%s::text[], %s::int8[], %s::int4[], %s::float8[], %s::int8[],
                             %s::float8[], %s::int8[], %s::int8[])
    ON CONFLICT (job_id, name, block) DO UPDATE SET
        num = old.num + excluded.num,
        min_value = least(old.min_value, excluded.min_value),
        min_step = CASE WHEN old.min_value IS NULL OR excluded.min_value < old.min_value
                        THEN excluded.min_step ELSE old.min_step END,
        max_value = greatest(old.max_value, excluded.max_value),
        max_step = CASE WHEN old.max_value IS NULL OR excluded.max_value > old.max_value
                        THEN excluded.max_step ELSE old.max_step END,
        odd_step = least(old.odd_step, excluded.odd_step)
"""

# The block that `after` lies in is counted point by point, the later ones as they are.
COUNT = text("""
    SELECT (SELECT count(*) FROM metrics WHERE job_id = :job_id AND name = :name
            AND step > :after AND step < :edge_end)
         + (SELECT coalesce(sum(num), 0) FROM metric_blocks
            WHERE job_id = :job_id AND name = :name AND block > :edge)
""")

WHOLE = text("""
    SELECT step, value, epoch, time FROM metrics
    WHERE job_id = :job_id AND name = :name AND step > :after ORDER BY step
""")

# min() of [value, step] finds an extreme and its place in one pass, the earliest step of equals.
# MATERIALIZED: without it, and without statistics yet, the bounds are found anew for every point.
# The last ARRAY makes every chosen point a probe of the primary key, whatever the planner believes.
FROM_POINTS = text("""
    WITH bounds AS MATERIALIZED (
        SELECT min(step) AS low, max(step) AS high
        FROM metrics WHERE job_id = :job_id AND name = :name AND step > :after
    ), points AS (
        SELECT step, value, value NOT IN ('NaN', 'Infinity', '-Infinity') AS is_finite,
               width_bucket(step, low, high + 1, :buckets) AS bucket
        FROM metrics, bounds WHERE job_id = :job_id AND name = :name AND step > :after
    ), buckets AS MATERIALIZED (
        SELECT min(ARRAY[value, step]) FILTER (WHERE is_finite) AS low,
               max(ARRAY[value, -step]) FILTER (WHERE is_finite) AS high,
               min(step) FILTER (WHERE NOT is_finite) AS odd
        FROM points GROUP BY bucket
    ), chosen AS (
        SELECT low[2]::int8 AS step FROM buckets
        UNION SELECT -high[2]::int8 FROM buckets
        UNION SELECT odd FROM buckets
        UNION SELECT high FROM bounds
    )
    SELECT step, value, epoch, time FROM metrics
    WHERE job_id = :job_id AND name = :name AND step = ANY (ARRAY(SELECT step FROM chosen))
    ORDER BY step
""")

FROM_BLOCKS = text("""
    WITH bounds AS MATERIALIZED (
        SELECT :edge + 1 AS low, max(block) + 1 AS high FROM metric_blocks
        WHERE job_id = :job_id AND name = :name
    ), buckets AS MATERIALIZED (
        SELECT min(ARRAY[min_value, min_step]) AS low, max(ARRAY[max_value, -max_step]) AS high,
               min(odd_step) AS odd
        FROM metric_blocks, bounds
        WHERE job_id = :job_id AND name = :name AND block > :edge
        GROUP BY width_bucket(block, bounds.low, bounds.high, :buckets)
    ), edge AS MATERIALIZED (
        SELECT step, value FROM metrics
        WHERE job_id = :job_id AND name = :name AND step > :after AND step < :edge_end
    ), chosen AS (
        SELECT low[2]::int8 AS step FROM buckets
        UNION SELECT -high[2]::int8 FROM buckets
        UNION SELECT odd FROM buckets
        UNION (SELECT step FROM edge ORDER BY value, step LIMIT 1)
        UNION (SELECT step FROM edge ORDER BY value DESC, step LIMIT 1)
        UNION (SELECT max(step) FROM metrics WHERE job_id = :job_id AND name = :name)
    )
    SELECT step, value, epoch, time FROM metrics
    WHERE job_id = :job_id AND name = :name AND step = ANY (ARRAY(SELECT step FROM chosen))
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

    def add(self, job_id: str, points: Iterable[Point]) -> None:
        """Write points in one COPY; the caller's transaction fences them."""
        self.add_curves(job_id, curves_of(points))

    def add_curves(self, job_id: str, curves: Sequence[Curve]) -> None:
        """Write many points in one COPY; the caller's transaction fences them."""
        if not curves:
            return
        driver: Any = self.db.connection().connection.driver_connection
        with driver.cursor() as cursor:
            with cursor.copy(COPY) as copy:
                copy.write(COPY_HEADER)
                for rows in copy_rows(job_id, curves):
                    copy.write(rows)
                copy.write(COPY_END)
            self._merge(cursor, job_id, curves)

    def _merge(self, cursor: Any, job_id: str, curves: Sequence[Curve]) -> None:
        if curves:
            cursor.execute(MERGE_BLOCKS, [job_id, *blocks_of(curves)])

    def forget_after(self, job_id: str, step: int) -> None:
        """Drop what an attempt wrote past the step where the next one resumes."""
        self.db.execute(delete(MetricRow).where(MetricRow.job_id == job_id, MetricRow.step > step))
        cut = step >> BLOCK_BITS
        blocks = delete(MetricBlockRow).where(MetricBlockRow.job_id == job_id)
        self.db.execute(blocks.where(MetricBlockRow.block >= cut))
        begin = cut << BLOCK_BITS
        left = [
            Point(row.name, row.step, row.epoch, row.value, row.time)
            for name in self.names(job_id)
            for row in self.page(job_id, name, begin - 1, 1 << BLOCK_BITS)
        ]
        driver: Any = self.db.connection().connection.driver_connection
        with driver.cursor() as cursor:
            self._merge(cursor, job_id, curves_of(left))

    def names(self, job_id: str) -> Sequence[str]:
        """Names of the job's curves, in order."""
        return self.db.scalars(NAMES, {"job_id": job_id}).all()

    def series(
        self, job_id: str, name: str, max_points: int, after: int = -1
    ) -> Sequence[Row[Any]]:
        """Points (step, value, epoch, time) past step `after`, at most about `max_points`.

        Past that, each bucket of steps keeps its smallest and its largest finite value, so that no
        spike is lost, one that is not finite, and the curve keeps its last point. A long curve has
        buckets of 128 steps or more.
        """
        edge = after >> BLOCK_BITS
        wanted: dict[str, Any] = {"job_id": job_id, "name": name, "after": after}
        wanted |= {"edge": edge, "edge_end": (edge + 1) << BLOCK_BITS}
        num = self.db.scalars(COUNT, wanted).one()
        if num <= max_points:
            return self.db.execute(WHOLE, wanted).all()
        query = FROM_POINTS if num <= MOST_READ else FROM_BLOCKS
        return self.db.execute(query, {**wanted, "buckets": max(1, max_points // 2)}).all()

    def page(self, job_id: str, name: str, after: int, limit: int) -> Sequence[Any]:
        """The next `limit` points (name, step, epoch, value, time) past step `after`."""
        columns = (
            MetricRow.name,
            MetricRow.step,
            MetricRow.epoch,
            MetricRow.value,
            MetricRow.time,
        )
        of_curve = (MetricRow.job_id == job_id, MetricRow.name == name, MetricRow.step > after)
        query = select(*columns).where(*of_curve)
        return self.db.execute(query.order_by(MetricRow.step).limit(limit)).all()
