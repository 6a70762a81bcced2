"""Datasets: what a page draws of them, and what in them should worry a person."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, empty in (("statistics", "{}"), ("warnings", "[]")):
        column = sa.Column(name, postgresql.JSONB(), server_default=empty, nullable=False)
        op.add_column("datasets", column)


def downgrade() -> None:
    op.drop_column("datasets", "warnings")
    op.drop_column("datasets", "statistics")
