"""Services and their replicas."""

import sqlalchemy as sa
from alembic import op

from common.db.tables import Instant, Json

revision = "serving_0001"
down_revision = None
branch_labels = ("serving",)
depends_on = None


def upgrade() -> None:
    op.create_table(
        "services",
        sa.Column("id", sa.String(48), primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("owner", sa.String(48), nullable=False, index=True),
        sa.Column("shared", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(24), nullable=False, index=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
        sa.Column("visibility", sa.String(16), nullable=False),
        sa.Column("model_id", sa.String(48), index=True),
        sa.Column("doc", Json, nullable=False),
    )
    op.create_table(
        "replicas",
        sa.Column("id", sa.String(48), primary_key=True),
        sa.Column("service_id", sa.String(48), nullable=False, index=True),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("ready", sa.Boolean, nullable=False),
        sa.Column("ready_at", Instant),
        sa.Column("draining_at", Instant),
        sa.Column("sick", sa.Text, nullable=False),
        sa.Column("ended_at", Instant),
    )


def downgrade() -> None:
    for table in ("replicas", "services"):
        op.drop_table(table)
