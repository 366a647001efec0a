"""Algorithms, engines, and the tombstones of algorithms."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from common.db.tables import Instant, Json

revision = "algo_0001"
down_revision = None
branch_labels = ("algo",)
depends_on = None


def _aggregate(name: str, *extra: sa.Column[Any]) -> None:
    op.create_table(
        name,
        sa.Column("id", sa.String(48), primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("owner", sa.String(48), nullable=False, index=True),
        sa.Column("shared", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(24), nullable=False, index=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
        *extra,
        sa.Column("doc", Json, nullable=False),
    )


def upgrade() -> None:
    _aggregate(
        "algorithms",
        sa.Column("purpose", sa.String(80), nullable=False, index=True),
        sa.Column("visibility", sa.String(16), nullable=False),
        sa.Column("online", sa.Boolean, nullable=False),
        sa.Column("preset", sa.String(100), unique=True),
    )
    _aggregate("engines")
    op.create_table(
        "tombstones",
        sa.Column("id", sa.String(48), primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("owner", sa.String(48), nullable=False),
        sa.Column("deleted_at", Instant, nullable=False),
    )


def downgrade() -> None:
    for table in ("tombstones", "engines", "algorithms"):
        op.drop_table(table)
