"""Extremes of curves by 128 steps, counters that only grow, the request that submitted a job."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("request_id", sa.Text(), nullable=True))
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "label", name=op.f("pk_counters")),
    )
    create_metric_blocks()
    op.execute(FILL)
    trade_foreign_key_for_trigger()


def downgrade() -> None:
    op.execute("DROP TRIGGER delete_metrics ON jobs")
    op.execute("DROP FUNCTION delete_metrics")
    op.create_foreign_key(FOREIGN_KEY, "metrics", "jobs", ["job_id"], ["id"], ondelete="CASCADE")
    op.drop_table("metric_blocks")
    op.drop_table("counters")
    op.drop_column("jobs", "request_id")


def create_metric_blocks() -> None:
    op.create_table(
        "metric_blocks",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("block", sa.BigInteger(), nullable=False),
        sa.Column("num", sa.Integer(), nullable=False),
        sa.Column("min_value", sa.Double(), nullable=True),
        sa.Column("min_step", sa.BigInteger(), nullable=True),
        sa.Column("max_value", sa.Double(), nullable=True),
        sa.Column("max_step", sa.BigInteger(), nullable=True),
        sa.Column("odd_step", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_metric_blocks_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "name", "block", name=op.f("pk_metric_blocks")),
    )


def trade_foreign_key_for_trigger() -> None:
    """Both delete with the job; the foreign key doubled the time of every insert too."""
    op.drop_constraint(FOREIGN_KEY, "metrics")
    op.execute(
        "CREATE FUNCTION delete_metrics() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN DELETE FROM metrics WHERE job_id = OLD.id; RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER delete_metrics AFTER DELETE ON jobs"
        " FOR EACH ROW EXECUTE FUNCTION delete_metrics()"
    )


FOREIGN_KEY = "fk_metrics_job_id"
# (array_agg(step ORDER BY value, step))[1] = the step of the smallest value, the earliest of equals
FILL = """
    WITH points AS (
        SELECT *, value NOT IN ('NaN', 'Infinity', '-Infinity') AS is_finite FROM metrics
    )
    INSERT INTO metric_blocks
        (job_id, name, block, num, min_value, min_step, max_value, max_step, odd_step)
    SELECT job_id, name, step >> 7, count(*),
           min(value) FILTER (WHERE is_finite),
           (array_agg(step ORDER BY value, step) FILTER (WHERE is_finite))[1],
           max(value) FILTER (WHERE is_finite),
           (array_agg(step ORDER BY value DESC, step) FILTER (WHERE is_finite))[1],
           min(step) FILTER (WHERE NOT is_finite)
    FROM points GROUP BY job_id, name, step >> 7
"""
