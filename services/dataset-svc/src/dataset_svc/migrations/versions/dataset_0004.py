"""The history of datasets."""

import sqlalchemy as sa
from alembic import op

from common.db.tables import BigId, Instant, Json

revision = "dataset_0004"
down_revision = "dataset_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dataset_history",
        sa.Column("id", BigId, primary_key=True, autoincrement=True),
        sa.Column("dataset_id", sa.String(48), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("actor", sa.String(48)),
        sa.Column("deed", sa.String(24), nullable=False),
        sa.Column("changes", Json, nullable=False),
        sa.Column("detail", Json, nullable=False),
    )
    op.create_index("dataset_history_of", "dataset_history", ["dataset_id", "id"])


def downgrade() -> None:
    op.drop_table("dataset_history")
