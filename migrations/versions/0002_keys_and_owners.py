"""API keys and logins; whose a job, a dataset and a model is."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NOW = sa.text("now()")
OWNED = ("jobs", "datasets", "models", "model_versions")
NAME, OWNER_AND_NAME = ["name"], ["owner", "name"]


def upgrade() -> None:
    create_api_keys()
    create_logins()
    for table in OWNED:
        op.add_column(table, sa.Column("owner", sa.Text(), server_default="", nullable=False))
    op.create_index("ix_jobs_owner_id", "jobs", ["owner", "id"], unique=False)
    op.drop_constraint("uq_datasets_name", "datasets")
    op.create_unique_constraint("uq_datasets_owner", "datasets", OWNER_AND_NAME)
    key_models_by(OWNER_AND_NAME, former="name", foreign_key="owner")


def downgrade() -> None:
    key_models_by(NAME, former="owner", foreign_key="name")
    op.drop_constraint("uq_datasets_owner", "datasets")
    op.create_unique_constraint("uq_datasets_name", "datasets", NAME)
    op.drop_index("ix_jobs_owner_id", "jobs")
    for table in OWNED:
        op.drop_column(table, "owner")
    op.drop_table("logins")
    op.drop_table("api_keys")


def create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("sha256", name=op.f("uq_api_keys_sha256")),
    )


def create_logins() -> None:
    op.create_table(
        "logins",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_logins")),
    )
    op.create_index("ix_logins_key_id", "logins", ["key_id"], unique=False)


def key_models_by(columns: list[str], *, former: str, foreign_key: str) -> None:
    """Make `columns` what identifies a model, with a version what identifies a version."""
    op.drop_constraint(f"fk_model_versions_{former}", "model_versions")
    op.drop_constraint("pk_model_versions", "model_versions")
    op.drop_constraint("pk_models", "models")
    op.create_primary_key("pk_models", "models", columns)
    op.create_primary_key("pk_model_versions", "model_versions", [*columns, "version"])
    op.create_foreign_key(
        f"fk_model_versions_{foreign_key}",
        "model_versions",
        "models",
        columns,
        columns,
        ondelete="CASCADE",
    )
