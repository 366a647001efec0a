"""The tables that every service has: outbox, inbox, sequences, leases, idempotency, read models, holds."""

import sqlalchemy as sa
from alembic import op

from common.db.tables import BigId, Instant, Json

revision = "common_0001"
down_revision = None
branch_labels = ("common",)
depends_on = None


def upgrade() -> None:
    _events_out()
    _events_in()
    _turns()
    _views()
    _workloads()


def _events_out() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", BigId, primary_key=True, autoincrement=True),
        sa.Column("event_id", sa.String(40), nullable=False, unique=True),
        sa.Column("type", sa.String(80), nullable=False),
        sa.Column("subject", sa.String(80), nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("sent_at", Instant),
    )
    unsent = sa.text("sent_at IS NULL")
    op.create_index("outbox_unsent", "outbox", ["id"], sqlite_where=unsent, postgresql_where=unsent)
    op.create_table(
        "sequences",
        sa.Column("subject", sa.String(80), primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )


def _events_in() -> None:
    op.create_table(
        "inbox",
        sa.Column("handler", sa.String(80), nullable=False),
        sa.Column("event_id", sa.String(40), nullable=False),
        sa.Column("type", sa.String(80), nullable=False),
        sa.Column("subject", sa.String(80), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", Instant),
        sa.Column("error", sa.Text),
        sa.Column("payload", sa.Text),
        sa.Column("received_at", Instant, nullable=False),
        sa.Column("done_at", Instant),
        sa.PrimaryKeyConstraint("handler", "event_id"),
    )
    op.create_index("inbox_due", "inbox", ["state", "next_attempt_at"])


def _turns() -> None:
    """Whose turn a loop is, and what was answered to a request that comes again."""
    op.create_table(
        "leases",
        sa.Column("name", sa.String(80), primary_key=True),
        sa.Column("holder", sa.String(80), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
    )
    op.create_table(
        "idempotency",
        sa.Column("owner", sa.String(80), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("request", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("owner", "key"),
    )


def _views() -> None:
    """What is known of others' resources, and who holds one's own."""
    op.create_table(
        "read_models",
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("id", sa.String(80), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.String(80)),
        sa.Column("gone", sa.Boolean, nullable=False),
        sa.Column("doc", Json, nullable=False),
        sa.PrimaryKeyConstraint("kind", "id"),
    )
    op.create_table(
        "holds",
        sa.Column("resource", sa.String(120), nullable=False),
        sa.Column("holder", sa.String(80), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("resource", "holder"),
    )


def _workloads() -> None:
    op.create_table(
        "workloads",
        sa.Column("id", sa.String(48), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(48), nullable=False, index=True),
        sa.Column("owner", sa.String(48), nullable=False),
        sa.Column("phase", sa.String(16), nullable=False, index=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("doc", Json, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
    )


def downgrade() -> None:
    for table in (
        "workloads",
        "holds",
        "read_models",
        "idempotency",
        "leases",
        "inbox",
        "sequences",
        "outbox",
    ):
        op.drop_table(table)
