"""Users and API keys."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from common.db.tables import Instant, Json

revision = "gateway_0001"
down_revision = None
branch_labels = ("gateway",)
depends_on = None


def _aggregate(*extra: sa.Column[Any]) -> list[sa.Column[Any]]:
    return [
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
    ]


def upgrade() -> None:
    login: sa.Column[Any] = sa.Column("login", sa.String(255), nullable=False, unique=True)
    op.create_table("users", *_aggregate(login, sa.Column("role", sa.String(16), nullable=False)))
    op.create_table("api_keys", *_aggregate(sa.Column("digest", sa.String(64), nullable=False, unique=True)))


def downgrade() -> None:
    op.drop_table("api_keys")
    op.drop_table("users")
