"""Which jobs train on a formatted set, and what others validate on, so that they are found by it."""

import sqlalchemy as sa
from alembic import op

revision = "train_0004"
down_revision = "train_0003"
branch_labels = None
depends_on = None

COLUMNS = ("formatted_set_id", "validation_dataset_id", "validation_set_id")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("jobs", sa.Column(name, sa.String(48)))
        named = sa.text(f"{name} IS NOT NULL")
        op.create_index(f"ix_jobs_{name}", "jobs", [name], postgresql_where=named, sqlite_where=named)


def downgrade() -> None:
    for name in COLUMNS:
        op.drop_index(f"ix_jobs_{name}", "jobs")
        op.drop_column("jobs", name)
