"""Datasets, versions, imports and uploads."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from common.db.tables import Instant, Json

revision = "dataset_0001"
down_revision = None
branch_labels = ("dataset",)
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
        "datasets",
        sa.Column("purpose", sa.String(80), nullable=False, index=True),
        sa.Column("format", sa.String(40), nullable=False),
        sa.Column("visibility", sa.String(16), nullable=False),
        sa.Column("files", sa.String(8), nullable=False),
    )
    op.create_table(
        "versions",
        sa.Column("id", sa.String(48), primary_key=True),
        sa.Column("dataset_id", sa.String(48), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(80), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("doc", Json, nullable=False),
        sa.UniqueConstraint("dataset_id", "number"),
    )
    _aggregate(
        "imports",
        sa.Column("dataset_id", sa.String(48), nullable=False, index=True),
        sa.Column("progress", Json),
        sa.Column("files", sa.String(8), nullable=False, index=True),
    )
    _aggregate(
        "uploads",
        sa.Column("dataset_id", sa.String(48), nullable=False, index=True),
        sa.Column("active_at", Instant),
        sa.Column("files", sa.String(8), nullable=False, index=True),
    )


def downgrade() -> None:
    for table in ("uploads", "imports", "versions", "datasets"):
        op.drop_table(table)
