"""Nodes: what the inventory shows is written down, with what administrators say of it, and what is lost is revoked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from common.db.uow import UnitOfWork
from common.kernel.errors import Conflict
from common.ports.inventory import Node
from train_svc.domain.allocation import Allocation
from train_svc.domain.node import (
    KnownNode,
    Loss,
    Mark,
    NodeState,
    forgettable,
    observed,
    without_lost_devices,
    written_off,
)
from train_svc.known import known_node, known_nodes, save_node, save_nodes, take_turn


class Ending(Protocol):
    """What of the ledger is needed to take back what is promised on a node."""

    async def revoke(self, uow: UnitOfWork, allocation_ids: Sequence[str], reason: str) -> None:
        """Take these back: what holds them is lost."""
        ...

    async def preempt(self, uow: UnitOfWork, allocation_ids: Sequence[str], reason: str, grace: float) -> None:
        """Ask the workloads of these to end within `grace` seconds."""
        ...

    async def fence(self, uow: UnitOfWork, node: str) -> None:
        """Nothing runs on that node any more: what is revoked there is free."""
        ...


async def introduce(uow: UnitOfWork, shown: Iterable[Node]) -> None:
    """Write down what is shown, at the start of an instance: nothing is judged by what it doesn't show."""
    await take_turn(uow.connection)
    known = await known_nodes(uow.connection)
    after = {node.name: observed(known.get(node.name), node, uow.clock.now(), float("inf")) for node in shown}
    await save_nodes(uow.connection, known, {**known, **{name: one for name, one in after.items() if one is not None}})


async def observe(
    uow: UnitOfWork, shown: Sequence[Node], holding: Sequence[Allocation], *, grace: float, keep: float
) -> bool:
    """Write down what a look at the inventory found, True where something changed.

    What it shows no more is lost after `grace` seconds, and forgotten after `keep` where nothing of what `holding`
    holds is on it.
    """
    now, there = uow.clock.now(), {node.name: node for node in shown}
    await take_turn(uow.connection)
    known = await known_nodes(uow.connection)
    held = _held(holding)
    after: dict[str, KnownNode] = {}
    for name in {**known, **there}:
        one = observed(known.get(name), there.get(name), now, grace)
        if one is not None and not forgettable(one, name in held, now, keep):
            after[name] = without_lost_devices(one, held.get(name, frozenset()))
    await save_nodes(uow.connection, known, after)
    return after != known


def _held(holding: Iterable[Allocation]) -> dict[str, frozenset[str]]:
    """The devices that are held on each node on which anything is."""
    found: dict[str, frozenset[str]] = {}
    for allocation in holding:
        for place in allocation.placements:
            found[place.node] = found.get(place.node, frozenset()) | set(place.devices)
    return found


async def mark(uow: UnitOfWork, name: str, verb: str, *, reason: str, by: str, grace: float | None = None) -> KnownNode:
    """Cordon, drain or uncordon a node. Raises NotFound."""
    await take_turn(uow.connection)
    node = (await known_node(uow.connection, name)).marked(verb, reason, by, uow.clock.now(), grace)
    await save_node(uow.connection, node)
    return node


async def fence(uow: UnitOfWork, name: str, ending: Ending) -> KnownNode:
    """An administrator confirms that a lost node is dead: what was revoked on it is free, whatever the runtime knows.

    Raises NotFound, Conflict (`node_not_lost`): what still shows may still run workloads."""
    await take_turn(uow.connection)
    node = await known_node(uow.connection, name)
    if node.state is not NodeState.LOST:
        raise Conflict(
            "node_not_lost",
            f"The node {name} is {node.state}, and only a lost one can be fenced: its workloads may still run. "
            "Drain it, or take it out of the inventory and wait until it is lost.",
        )
    node = node.confirmed_dead(uow.clock.now())
    await save_node(uow.connection, node)
    await ending.fence(uow, name)
    return node


async def take_back(
    uow: UnitOfWork, known: Iterable[KnownNode], holding: Sequence[Allocation], ending: Ending, grace: float
) -> int:
    """Revoke what is promised on what is lost, and ask what is on draining nodes to end; how many that concerned.

    `holding` are those that were neither revoked nor asked to end yet. `grace` is what they have, in seconds, where
    the drain doesn't say.
    """
    concerned = 0
    for node in known:
        lost = written_off(node)
        if lost is not None:
            concerned += await _revoke(uow, lost, holding, ending)
        if node.mark is Mark.DRAINING and not node.lost:
            there = [one.id for one in holding if any(place.node == node.name for place in one.placements)]
            why = f"The node {node.name} is drained{f': {node.reason}' if node.reason else '.'}"
            if there:
                await ending.preempt(uow, there, why, grace if node.grace is None else node.grace)
            concerned += len(there)
    return concerned


async def _revoke(uow: UnitOfWork, lost: Loss, holding: Sequence[Allocation], ending: Ending) -> int:
    gone = [one.id for one in holding if any(lost.concerns(place.node, place.devices) for place in one.placements)]
    if gone:
        await ending.revoke(uow, gone, lost.reason)
    return len(gone)
