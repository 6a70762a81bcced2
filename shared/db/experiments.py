"""Every query about experiments. Callers own the transaction; nothing here commits."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import BigInteger, cast, func, select, text
from sqlalchemy.orm import Session

from shared.db.ids import new_id
from shared.db.jobs import JobStore
from shared.db.pages import Page, newest_first
from shared.db.tables import AttemptRow, ExperimentRow, JobRow, MetricRow
from shared.jobs.errors import Conflict, ExperimentNotFound
from shared.jobs.leaderboard import Run
from shared.jobs.states import FINAL, JobStatus, Verb

# Each seed's points of a bucket become one number first, so that no seed counts for more.
# A bucket's ends are those of the arm, so that all its seeds share them.
POINTS = """
    SELECT jobs.arm, metrics.job_id, metrics.step, metrics.epoch, metrics.value,
           metrics.value AS low, metrics.value AS high
    FROM jobs JOIN metrics ON metrics.job_id = jobs.id AND metrics.name = :name
    WHERE jobs.experiment_id = :experiment_id
      AND metrics.value NOT IN ('NaN', 'Infinity', '-Infinity')
"""
# Of a long curve, what each 128 steps reached at least and at most; of a very long one, some of these,
# each a probe of the primary key.
BLOCKS = """
    SELECT jobs.arm, blocks.job_id, greatest(min_step, max_step) AS step,
           CAST(NULL AS float8) AS epoch, (min_value + max_value) / 2 AS value,
           min_value AS low, max_value AS high
    FROM jobs JOIN metric_blocks AS blocks ON blocks.job_id = jobs.id AND blocks.name = :name
    WHERE jobs.experiment_id = :experiment_id AND min_value IS NOT NULL
      AND blocks.block = ANY (ARRAY(SELECT generate_series(0, CAST(:last AS int8), :stride)))
"""
CURVES = """
    WITH points AS MATERIALIZED ({points}),
    bounds AS (SELECT arm, min(step) AS first, max(step) AS last FROM points GROUP BY arm),
    bucketed AS (
        SELECT points.*, width_bucket(step, first, last + 1, :num_buckets) AS bucket
        FROM points JOIN bounds USING (arm)
    ), by_job AS (
        SELECT arm, bucket, job_id, avg(value) AS value, min(low) AS low, max(high) AS high,
               max(step) AS step, max(epoch) AS epoch
        FROM bucketed GROUP BY arm, bucket, job_id
    )
    SELECT arm, max(step) AS step, max(epoch) AS epoch, avg(value) AS mean, min(low) AS low,
           max(high) AS high, coalesce(stddev_samp(value), 0) AS std, count(*) AS num_jobs
    FROM by_job GROUP BY arm, bucket ORDER BY arm, bucket
"""
EXTENT = text("""
    SELECT coalesce(sum(num), 0) AS num_points, count(*) AS num_blocks,
           coalesce(max(block), 0) AS last
    FROM jobs JOIN metric_blocks AS blocks ON blocks.job_id = jobs.id AND blocks.name = :name
    WHERE jobs.experiment_id = :experiment_id
""")
MOST_READ = 100_000  # points that are read one by one; past that, their blocks are
MOST_BLOCKS = 100_000  # that are read one by one; past that, every second, third ... is


class ExperimentStore:
    def __init__(self, db: Session) -> None:
        self.db = db

    def add(self, **columns: Any) -> ExperimentRow:
        row = ExperimentRow(id=new_id("exp"), **columns)
        self.db.add(row)
        self.db.flush()
        self.db.refresh(row)
        return row

    def find(self, experiment_id: str) -> ExperimentRow | None:
        return self.db.get(ExperimentRow, experiment_id)

    def get(self, experiment_id: str) -> ExperimentRow:
        row = self.find(experiment_id)
        if row is None:
            raise ExperimentNotFound(experiment_id)
        return row

    def lock(self, experiment_id: str) -> ExperimentRow:
        """The experiment, held against every other change of it until the transaction ends."""
        query = select(ExperimentRow).where(ExperimentRow.id == experiment_id).with_for_update()
        row = self.db.scalars(query.execution_options(populate_existing=True)).first()
        if row is None:
            raise ExperimentNotFound(experiment_id)
        return row

    def page(self, after: str | None, limit: int) -> Page[ExperimentRow]:
        return newest_first(self.db, select(ExperimentRow), ExperimentRow.id, after, limit)

    def runs(self, row: ExperimentRow, metric: str) -> list[Run]:
        """Its jobs in the order in which they were made, with what `val/...` they reached."""
        took = func.sum(func.extract("epoch", AttemptRow.ended_at - AttemptRow.started_at))
        train_s = select(took).where(AttemptRow.job_id == JobRow.id).scalar_subquery()
        at_best = cast(JobRow.best["step"].as_string(), BigInteger)
        of_best = (MetricRow.job_id == JobRow.id) & (MetricRow.name == metric)
        test = JobRow.latest[on_test_split(metric)].as_float()
        query = (
            select(*RUN, MetricRow.value, test.label("test_value"), train_s.label("train_s"))
            .outerjoin(MetricRow, of_best & (MetricRow.step == at_best))
            .where(JobRow.experiment_id == row.id)
        )
        return [_run(found) for found in self.db.execute(query.order_by(JobRow.id))]

    def states(self, ids: Iterable[str]) -> dict[str, list[Any]]:
        """Arm, status, fraction and end of every job, by experiment."""
        found: dict[str, list[Any]] = {experiment_id: [] for experiment_id in ids}
        query = select(JobRow.experiment_id, *STATE).where(JobRow.experiment_id.in_(found))
        for state in self.db.execute(query):
            found[state.experiment_id].append(state)
        return found

    def cancel(self, experiment_id: str) -> ExperimentRow:
        """End every job that has not ended; a second time, while some still stop, changes nothing.

        Raises:
            Conflict: all have ended.
        """
        row = self.lock(experiment_id)
        unfinished = select(JobRow.id).where(
            JobRow.experiment_id == row.id, JobRow.status.not_in(FINAL)
        )
        job_ids = self.db.scalars(unfinished.order_by(JobRow.id).with_for_update()).all()
        if not job_ids:
            raise Conflict(f"Experiment {row.id} has ended; there is nothing to cancel.")
        for job_id in job_ids:
            JobStore(self.db).act(job_id, Verb.CANCEL)
        row.cancelled_at = row.cancelled_at or func.now()
        self.db.flush()
        self.db.refresh(row)
        return row

    def delete(self, experiment_id: str) -> None:
        """Forget an experiment; its jobs stay, each by itself.

        Raises:
            Conflict: a job of it has not ended.
        """
        row = self.lock(experiment_id)
        states = self.states([row.id])[row.id]
        if any(state.status not in FINAL for state in states):
            raise Conflict(f"Experiment {row.id} has not ended; cancel it before you delete it.")
        self.db.delete(row)

    def curves(self, row: ExperimentRow, name: str, num_buckets: int) -> Sequence[Any]:
        """By arm and bucket of steps: the last step, mean, extremes and spread over the seeds."""
        wanted = {"experiment_id": row.id, "name": name, "num_buckets": num_buckets}
        extent = self.db.execute(EXTENT, wanted).one()
        if extent.num_points <= MOST_READ:
            return self.db.execute(text(CURVES.format(points=POINTS)), wanted).all()
        stride = math.ceil(extent.num_blocks / MOST_BLOCKS)
        query = text(CURVES.format(points=BLOCKS))
        return self.db.execute(query, {**wanted, "last": extent.last, "stride": stride}).all()


STATE = (
    JobRow.arm,
    JobRow.status,
    JobRow.progress["fraction"].as_float().label("fraction"),
    JobRow.finished_at,
)
RUN = (
    JobRow.id,
    JobRow.spec["training"]["seed"].as_string().label("seed"),
    JobRow.progress["epoch"].as_integer().label("epochs"),
    *STATE,
)


def on_test_split(metric: str) -> str:
    """What the same is called on the test split."""
    return f"test/{metric.partition('/')[2]}"


def _run(found: Any) -> Run:
    return Run(
        found.id,
        found.arm,
        int(found.seed),
        JobStatus(found.status),
        found.fraction,
        found.value,
        found.test_value,
        None if found.train_s is None else float(found.train_s),
        found.finished_at,
        found.epochs,
    )
