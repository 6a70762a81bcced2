"""Jobs: after which attempt tries are counted, and whose they are."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "jobs", sa.Column("granted_after", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column("jobs", sa.Column("owner", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "owner")
    op.drop_column("jobs", "granted_after")
