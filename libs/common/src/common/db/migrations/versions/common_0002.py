"""Which service took a hold."""

import sqlalchemy as sa
from alembic import op

revision = "common_0002"
down_revision = "common_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("holds", sa.Column("service", sa.String(48)))


def downgrade() -> None:
    op.drop_column("holds", "service")
