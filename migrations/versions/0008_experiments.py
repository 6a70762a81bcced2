"""Experiments: jobs that differ in an arm and a seed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "experiments",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), server_default="", nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=True),
        sa.Column("base", JSONB(), nullable=False),
        sa.Column("vary", JSONB(), nullable=False),
        sa.Column("seeds", JSONB(), nullable=False),
        sa.Column("match", sa.Text(), nullable=False),
        sa.Column("matching", JSONB(), nullable=True),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("metrics", JSONB(), nullable=False),
        sa.Column("has_test", sa.Boolean(), nullable=False),
        sa.Column("arms", JSONB(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiments")),
        sa.ForeignKeyConstraint(
            ["dataset_id"],
            ["datasets.id"],
            name=op.f("fk_experiments_dataset_id"),
            ondelete="SET NULL",
        ),
    )
    op.create_index("ix_experiments_owner_id", "experiments", ["owner", "id"])
    op.create_index("ix_experiments_dataset_id", "experiments", ["dataset_id"])
    op.add_column("jobs", sa.Column("experiment_id", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("arm", sa.Integer(), nullable=True))
    op.create_foreign_key(
        FOREIGN_KEY, "jobs", "experiments", ["experiment_id"], ["id"], ondelete="SET NULL"
    )
    op.create_index("ix_jobs_experiment_id", "jobs", ["experiment_id"])


def downgrade() -> None:
    op.drop_index("ix_jobs_experiment_id", "jobs")
    op.drop_constraint(FOREIGN_KEY, "jobs")
    op.drop_column("jobs", "arm")
    op.drop_column("jobs", "experiment_id")
    op.drop_table("experiments")


FOREIGN_KEY = "fk_jobs_experiment_id"
