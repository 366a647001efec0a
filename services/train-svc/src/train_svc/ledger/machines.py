"""Which machines capacity may be promised of, as the last look at them found.

A machine that is not shown any more takes nothing new; what was promised of it stays promised until somebody says that
it is lost (`nodes`), which is known no sooner than after a while.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from common.ports.inventory import Inventory, Node
from train_svc.domain.asking import node_of
from train_svc.domain.node import KnownNode
from train_svc.domain.scheduling.values import Node as Planned


@dataclass
class Machines:
    """What is known of the machines: `nodes` with as much CPU as may be promised, and how the planner sees them."""

    inventory: Inventory
    cpu_overcommit: float
    nodes: tuple[Node, ...] = ()
    planned: dict[str, Planned] = field(default_factory=dict)

    async def look(self) -> bool:
        """Look at nodes and devices afresh, outside any transaction; True where something changed."""
        told = {node.name: node for node in await self.inventory.nodes()}
        unseen = [node for node in self.nodes if node.name not in told]
        shown = [self._promisable(node) for node in told.values()]
        return self._note((*shown, *unseen), {node.name for node in unseen})

    def note(self, known: Iterable[KnownNode]) -> bool:
        """These are the nodes, with what administrators say of them; True where something changed.

        Of a lost device nothing is promised, and of a node that takes nothing new nothing more.
        """
        there = [one for one in known if not one.lost]
        nodes = tuple(self._promisable(one.usable) for one in there)
        return self._note(nodes, {one.name for one in there if not one.takes_new})

    def _promisable(self, node: Node) -> Node:
        return replace(node, cpu=node.cpu * self.cpu_overcommit)

    def _note(self, nodes: tuple[Node, ...], closed: set[str]) -> bool:
        planned = {node.name: node_of(node, cordoned=node.name in closed) for node in nodes}
        changed = planned != self.planned
        if changed:
            self.nodes, self.planned = nodes, planned
        return changed
