"""External sources."""

import sqlalchemy as sa
from alembic import op

from common.db.tables import Instant, Json

revision = "dataset_0003"
down_revision = "dataset_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sources",
        sa.Column("id", sa.String(48), primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("owner", sa.String(48), nullable=False, index=True),
        sa.Column("shared", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(24), nullable=False, index=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
        sa.Column("doc", Json, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("sources")
