"""Learning curves."""

import sqlalchemy as sa
from alembic import op

from common.db.tables import BigId

revision = "metrics_0001"
down_revision = None
branch_labels = ("train_metrics",)
depends_on = None


def upgrade() -> None:
    op.create_table(
        "series",
        sa.Column("id", BigId, primary_key=True, autoincrement=True),
        sa.Column("attempt", sa.String(48), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("chunks", sa.Integer, nullable=False),
        sa.Column("tail", sa.Integer, nullable=False),
        sa.Column("last_step", sa.BigInteger, nullable=False),
        sa.Column("last_value", sa.Float, nullable=False),
        sa.UniqueConstraint("attempt", "name"),
    )
    op.create_table(
        "chunks",
        sa.Column("series", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("steps", sa.LargeBinary, nullable=False),
        sa.Column("values", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "tails",
        sa.Column("attempt", sa.String(48), primary_key=True),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("skipped", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    for table in ("tails", "chunks", "series"):
        op.drop_table(table)
