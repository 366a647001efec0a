"""Replicas whose node is drained: until when they answer."""

import sqlalchemy as sa
from alembic import op

from common.db.tables import Instant

revision = "serving_0002"
down_revision = "serving_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("replicas", sa.Column("replace_by", Instant))


def downgrade() -> None:
    op.drop_column("replicas", "replace_by")
