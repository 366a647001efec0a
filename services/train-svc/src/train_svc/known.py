"""The table of nodes: what every instance plans by, so that what administrators say of a node holds for all of them.

Whoever writes here takes a turn first, so that writers follow one another. Then come, as for every plan, the queue and
allocations.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import TypeAdapter
from sqlalchemy import Column, Integer, MetaData, String, Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.tables import Json
from common.kernel.errors import NotFound
from train_svc.domain.node import KnownNode

METADATA = MetaData()

nodes_table = Table(
    "nodes",
    METADATA,
    Column("name", String(255), primary_key=True),
    Column("cluster", String(255), nullable=False),
    Column("mark", String(16), nullable=False),
    Column("doc", Json, nullable=False),
)
"""A row a node: as the inventory showed it last, and what administrators said of it."""

turns = Table(
    "turns",
    METADATA,
    Column("name", String(40), primary_key=True),
    Column("number", Integer, nullable=False),
)
"""Who counts up a row has its turn until the transaction ends."""

_DOC: TypeAdapter[KnownNode] = TypeAdapter(KnownNode)
_TURN = update(turns).where(turns.c.name == "nodes").values(number=turns.c.number + 1)


async def known_nodes(connection: AsyncConnection) -> dict[str, KnownNode]:
    """Every node that is known, by name: whether it takes anything new, which devices it shows, and what is lost."""
    rows = (await connection.execute(select(nodes_table.c.doc).order_by(nodes_table.c.name))).scalars()
    return {node.name: node for node in map(_DOC.validate_python, rows)}


async def known_node(connection: AsyncConnection, name: str) -> KnownNode:
    """One node. Raises NotFound (`node_not_found`)."""
    found = select(nodes_table.c.doc).where(nodes_table.c.name == name)
    doc = (await connection.execute(found)).scalar_one_or_none()
    if doc is None:
        raise NotFound("node_not_found", f"There is no node {name!r}; `yard node list` shows which there are.")
    return _DOC.validate_python(doc)


async def take_turn(connection: AsyncConnection) -> None:
    """Wait for the others who write about nodes, and have it alone until this transaction ends."""
    await connection.execute(_TURN)


async def save_node(connection: AsyncConnection, node: KnownNode) -> None:
    """Write down what is known of a node now."""
    await connection.execute(update(nodes_table).where(nodes_table.c.name == node.name).values(_row(node)))


async def save_nodes(
    connection: AsyncConnection, before: Mapping[str, KnownNode], after: Mapping[str, KnownNode]
) -> None:
    """Write down what differs."""
    gone = [name for name in before if name not in after]
    if gone:
        await connection.execute(delete(nodes_table).where(nodes_table.c.name.in_(gone)))
    new = [_row(node) for name, node in after.items() if name not in before]
    if new:
        await connection.execute(insert(nodes_table), new)
    for name, node in after.items():
        if name in before and node != before[name]:
            await save_node(connection, node)


def _row(node: KnownNode) -> dict[str, object]:
    doc = _DOC.dump_python(node, mode="json")
    return {"name": node.name, "cluster": node.node.cluster, "mark": str(node.mark), "doc": doc}
