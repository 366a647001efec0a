"""The scheduler's tables: queues, what of each node is promised, and who planned last."""

from collections import Counter

import sqlalchemy as sa
from alembic import op

from common.db.tables import Instant, Json

revision = "train_0002"
down_revision = "train_0001"
branch_labels = None
depends_on = None

_LEDGER = {"holder": 80, "mark": 40, "previous": 40}


def upgrade() -> None:
    with op.batch_alter_table("allocations") as allocations:
        allocations.add_column(sa.Column("queue", sa.String(64), nullable=False, server_default="default"))
        allocations.add_column(sa.Column("confirmed_at", Instant))
    op.create_index("ix_allocations_queue", "allocations", ["queue"])
    with op.batch_alter_table("ledgers") as ledgers:
        for name, size in _LEDGER.items():
            ledgers.add_column(sa.Column(name, sa.String(size), nullable=False, server_default=""))
        ledgers.add_column(sa.Column("epoch", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "queues",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("updated_at", Instant, nullable=False),
        sa.Column("doc", Json, nullable=False),
    )
    usage = op.create_table(
        "node_usage",
        sa.Column("node", sa.String(255), primary_key=True),
        sa.Column("cpu", sa.BigInteger, nullable=False),
        sa.Column("cpu_limit", sa.BigInteger, nullable=False),
        sa.Column("memory", sa.BigInteger, nullable=False),
        sa.Column("memory_limit", sa.BigInteger, nullable=False),
        sa.CheckConstraint("cpu >= 0 AND cpu <= cpu_limit", name="node_usage_cpu"),
        sa.CheckConstraint("memory >= 0 AND memory <= memory_limit", name="node_usage_memory"),
    )
    if rows := _promised():
        op.bulk_insert(usage, rows)


def _promised() -> list[dict[str, object]]:
    """What was granted before there were counters."""
    allocations = sa.table("allocations", sa.column("state", sa.String), sa.column("doc", Json))
    cpu: Counter[str] = Counter()
    memory: Counter[str] = Counter()
    granted = sa.select(allocations.c.doc).where(allocations.c.state == "granted")
    for doc in op.get_bind().execute(granted).scalars():
        for placement in doc["placements"]:
            cpu[placement["node"]] += round(doc["resources"]["cpu"] * 1000)
            memory[placement["node"]] += doc["resources"]["memory"]
    return [
        {"node": node, "cpu": cpu[node], "cpu_limit": cpu[node], "memory": memory[node], "memory_limit": memory[node]}
        for node in cpu
    ]


def _held_as_granted() -> None:
    """The code before knew one state for all that holds something."""
    allocations = sa.table(
        "allocations", sa.column("id", sa.String), sa.column("state", sa.String), sa.column("doc", Json)
    )
    ending = sa.select(allocations.c.id, allocations.c.doc).where(allocations.c.state.in_(["preempting", "revoked"]))
    for row in op.get_bind().execute(ending).all():
        changed = {"state": "granted", "doc": {**row.doc, "state": "granted"}}
        op.execute(sa.update(allocations).where(allocations.c.id == row.id).values(changed))


def downgrade() -> None:
    _held_as_granted()
    op.drop_table("node_usage")
    op.drop_table("queues")
    with op.batch_alter_table("ledgers") as ledgers:
        for name in (*_LEDGER, "epoch"):
            ledgers.drop_column(name)
    op.drop_index("ix_allocations_queue", "allocations")
    with op.batch_alter_table("allocations") as allocations:
        allocations.drop_column("confirmed_at")
        allocations.drop_column("queue")
