"""The tables that every service has: outbox, inbox, sequences, leases, idempotency keys, read models, holds.

They have an Alembic branch of their own (`common`), beside the service's. `NOW` columns are UTC datetimes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects.postgresql import JSONB

COMMON = MetaData()

Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
BigId = BigInteger().with_variant(Integer(), "sqlite")


class Instant(TypeDecorator[datetime]):
    """A moment in UTC; SQLite, which has no time zones, gets it back all the same."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store as UTC."""
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Give back as UTC."""
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


outbox = Table(
    "outbox",
    COMMON,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("event_id", String(40), nullable=False, unique=True),
    Column("type", String(80), nullable=False),
    Column("subject", String(80), nullable=False),
    Column("payload", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("sent_at", Instant),
)
Index(
    "outbox_unsent", outbox.c.id, sqlite_where=outbox.c.sent_at.is_(None), postgresql_where=outbox.c.sent_at.is_(None)
)

sequences = Table(
    "sequences",
    COMMON,
    Column("subject", String(80), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

inbox = Table(
    "inbox",
    COMMON,
    Column("handler", String(80), nullable=False),
    Column("event_id", String(40), nullable=False),
    Column("type", String(80), nullable=False),
    Column("subject", String(80), nullable=False),
    Column("state", String(10), nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_attempt_at", Instant),
    Column("error", Text),
    Column("payload", Text),
    Column("received_at", Instant, nullable=False),
    Column("done_at", Instant),
    PrimaryKeyConstraint("handler", "event_id"),
)
Index("inbox_due", inbox.c.state, inbox.c.next_attempt_at)

leases = Table(
    "leases",
    COMMON,
    Column("name", String(80), primary_key=True),
    Column("holder", String(80), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("expires_at", Float, nullable=False),
)

idempotency = Table(
    "idempotency",
    COMMON,
    Column("owner", String(80), nullable=False),
    Column("key", String(200), nullable=False),
    Column("request", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    PrimaryKeyConstraint("owner", "key"),
)

read_models = Table(
    "read_models",
    COMMON,
    Column("kind", String(40), nullable=False),
    Column("id", String(80), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("owner", String(80)),
    Column("gone", Boolean, nullable=False, default=False),
    Column("doc", Json, nullable=False),
    PrimaryKeyConstraint("kind", "id"),
)

holds = Table(
    "holds",
    COMMON,
    Column("resource", String(120), nullable=False),
    Column("holder", String(80), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("service", String(48)),
    PrimaryKeyConstraint("resource", "holder"),
)

workloads = Table(
    "workloads",
    COMMON,
    Column("id", String(48), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("subject", String(48), nullable=False, index=True),
    Column("owner", String(48), nullable=False),
    Column("phase", String(16), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("doc", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)
