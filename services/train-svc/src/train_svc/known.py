"""The table of nodes: what every instance plans by, so that what administrators say of a node holds for all of them.

Whoever writes here takes a turn first, so that writers follow one another. Then come, as for every plan, the queue and
allocations.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Column, Integer, MetaData, String, Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.tables import Json
from common.kernel.errors import NotFound
from common.ports.inventory import Device, Node
from train_svc.domain.node import KnownNode, Mark

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
_TURN = update(turns).where(turns.c.name == "nodes").values(number=turns.c.number + 1).returning(turns.c.number)
_NUMBER = select(turns.c.number).where(turns.c.name == "nodes")
_ALL = select(nodes_table.c.name, nodes_table.c.doc).order_by(nodes_table.c.name)

Docs = Mapping[str, Mapping[str, Any]]


class NodeBook:
    """What is known of nodes, in memory for as long as nobody wrote: every writer counts up a number.

    Of ten thousand nodes only those are made anew whose rows differ. Who plans by it has `looking` until it does, so
    that what was read before a change is never planned by after it; and who writes down what the inventory shows, round
    by round, has `overseeing` from asking it on, so that no round of this process writes over what a later one saw.
    """

    def __init__(self) -> None:
        self._number = -1
        self._docs: Docs = {}
        self._known: dict[str, KnownNode] = {}
        self._agreed: tuple[object, object] = (None, None)
        self.looking = asyncio.Lock()
        self.overseeing = asyncio.Lock()

    def agree(self, shown: object, known: Mapping[str, KnownNode]) -> None:
        """What is shown is what is known; with nothing missing, time alone changes nothing of that."""
        if all(one.gone is None and not one.missing for one in known.values()):
            self._agreed = (shown, known)

    def agrees(self, shown: object, known: Mapping[str, KnownNode]) -> bool:
        """Whether these very values were found to agree before."""
        return self._agreed[0] is shown and self._agreed[1] is known

    async def read(self, connection: AsyncConnection) -> Mapping[str, KnownNode]:
        """Every node by name, as committed. Not for whoever has the turn."""
        number = (await connection.execute(_NUMBER)).scalar_one()  # first: what is read then is no older
        if number != self._number:
            docs = {row.name: row.doc for row in await connection.execute(_ALL)}
            self._known = {
                name: self._known[name] if self._docs.get(name) == doc else known_of(doc) for name, doc in docs.items()
            }
            self._docs, self._number = docs, number
        return self._known

    async def take_turn(self, connection: AsyncConnection) -> Mapping[str, KnownNode]:
        """Wait for the others who write about nodes, and have it alone until this transaction ends. Every node by name;
        nothing is remembered of it, as the transaction may be undone."""
        number = (await connection.execute(_TURN)).scalar_one()
        return self._known if number == self._number + 1 else await known_nodes(connection)


async def known_nodes(connection: AsyncConnection) -> dict[str, KnownNode]:
    """Every node that is known, by name: whether it takes anything new, which devices it shows, and what is lost."""
    return {row.name: known_of(row.doc) for row in await connection.execute(_ALL)}


def known_of(doc: Mapping[str, Any]) -> KnownNode:
    """A node from its row. By hand, because there may be ten thousand of them."""
    node = doc["node"]
    devices = tuple(Device(**device) for device in node["devices"])
    return KnownNode(
        Node(**{**node, "devices": devices}),
        mark=Mark(doc["mark"]),
        reason=doc["reason"],
        since=_moment(doc["since"]),
        by=doc["by"],
        grace=doc["grace"],
        gone=_moment(doc["gone"]),
        missing={name: datetime.fromisoformat(since) for name, since in doc["missing"].items()},
        lost=doc["lost"],
        lost_devices=frozenset(doc["lost_devices"]),
        fenced=_moment(doc["fenced"]),
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None


def the(known: Mapping[str, KnownNode], name: str) -> KnownNode:
    """One of them. Raises NotFound (`node_not_found`)."""
    if name not in known:
        raise NotFound("node_not_found", f"There is no node {name!r}; `yard node list` shows which there are.")
    return known[name]


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
