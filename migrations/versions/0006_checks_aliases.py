"""Model versions: what their checks found, and aliases that point to them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "model_versions", sa.Column("checks", JSONB(), server_default="{}", nullable=False)
    )
    op.create_table(
        "model_aliases",
        sa.Column("owner", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("owner", "name", "alias", name=op.f("pk_model_aliases")),
        sa.ForeignKeyConstraint(
            ["owner", "name"],
            ["models.owner", "models.name"],
            name=op.f("fk_model_aliases_owner"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["owner", "name", "version"],
            ["model_versions.owner", "model_versions.name", "model_versions.version"],
            name=op.f("fk_model_aliases_version"),
        ),
    )


def downgrade() -> None:
    op.drop_table("model_aliases")
    op.drop_column("model_versions", "checks")
