"""Nodes as they are known, and what named resource specs mean."""

import sqlalchemy as sa
from alembic import op

from common.db.tables import Instant, Json

revision = "train_0003"
down_revision = "train_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "nodes",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("cluster", sa.String(255), nullable=False),
        sa.Column("mark", sa.String(16), nullable=False),
        sa.Column("doc", Json, nullable=False),
    )
    op.create_table(
        "resource_specs",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("cluster", sa.String(255), primary_key=True),
        sa.Column("updated_by", sa.String(48), nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
        sa.Column("doc", Json, nullable=False),
    )
    op.create_table(
        "turns",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
    )
    op.bulk_insert(
        sa.table("turns", sa.column("name", sa.String), sa.column("number", sa.Integer)),
        [{"name": "nodes", "number": 0}],
    )


def downgrade() -> None:
    for table in ("turns", "resource_specs", "nodes"):
        op.drop_table(table)
