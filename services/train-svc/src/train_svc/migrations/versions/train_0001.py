"""Jobs, models and the ledger."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from common.db.tables import Instant, Json

revision = "train_0001"
down_revision = None
branch_labels = ("train",)
depends_on = None


def aggregate(name: str, *extra: sa.Column[Any]) -> None:
    columns: Sequence[sa.Column[Any]] = (
        sa.Column("id", sa.String(48), primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("owner", sa.String(48), nullable=False, index=True),
        sa.Column("shared", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(24), nullable=False, index=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
    )
    op.create_table(name, *columns, *extra, sa.Column("doc", Json, nullable=False))


def upgrade() -> None:
    aggregate(
        "jobs",
        sa.Column("purpose", sa.String(64), nullable=False, index=True),
        sa.Column("algorithm_id", sa.String(48), nullable=False, index=True),
        sa.Column("dataset_id", sa.String(48), nullable=False, index=True),
        sa.Column("deleted", sa.Boolean, nullable=False),
    )
    aggregate(
        "models",
        sa.Column("purpose", sa.String(64), nullable=False, index=True),
        sa.Column("job_id", sa.String(48), nullable=False, index=True),
        sa.Column("deleted", sa.Boolean, nullable=False),
    )
    aggregate(
        "allocations",
        sa.Column("number", sa.Integer, nullable=False, index=True),
        sa.Column("kind", sa.String(16), nullable=False),
    )
    op.create_table(
        "granted_devices",
        sa.Column("node", sa.String(255), primary_key=True),
        sa.Column("device", sa.String(64), primary_key=True),
        sa.Column("allocation", sa.String(48), nullable=False),
    )
    op.create_index("granted_devices_allocation", "granted_devices", ["allocation"])
    op.create_table(
        "ledgers",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    for table in ("ledgers", "granted_devices", "allocations", "models", "jobs"):
        op.drop_table(table)
