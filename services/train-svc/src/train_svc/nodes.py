"""Nodes: what the inventory shows is written down, with what administrators say of it, and what is lost is revoked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from common.db.leases import Lease
from common.db.uow import UnitOfWork
from common.kernel.errors import Conflict
from common.ports.inventory import Node
from train_svc.context import Context
from train_svc.domain.allocation import Allocation, AllocationState
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
from train_svc.ledger import Ledger, granted_now


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


async def take_back(
    uow: UnitOfWork, known: Iterable[KnownNode], holding: Sequence[Allocation], ledger: Ledger, grace: float
) -> int:
    """Revoke what is promised on what is lost, and ask what is on draining nodes to end; how many that concerned.

    `holding` are those that were not revoked yet. `grace` is what they have, in seconds, where the drain doesn't say.
    """
    concerned = 0
    for node in known:
        lost = written_off(node)
        if lost is not None:
            concerned += await _revoke(uow, lost, holding, ledger)
        if node.mark is Mark.DRAINING and not node.lost:
            there = [
                one.id
                for one in holding
                if one.state == AllocationState.GRANTED and any(place.node == node.name for place in one.placements)
            ]
            why = f"The node {node.name} is drained{f': {node.reason}' if node.reason else '.'}"
            if there:
                await ledger.preempt(uow, there, why, grace if node.grace is None else node.grace)
            concerned += len(there)
    return concerned


async def _revoke(uow: UnitOfWork, lost: Loss, holding: Sequence[Allocation], ledger: Ledger) -> int:
    gone = [one.id for one in holding if any(lost.concerns(place.node, place.devices) for place in one.placements)]
    if gone:
        await ledger.revoke(uow, gone, lost.reason)
    return len(gone)


async def begin(context: Context) -> None:
    """At the start of an instance: write down what the inventory shows now, and plan by what is known."""
    shown = await context.kit.platform.inventory.nodes()
    async with context.kit.store.work() as uow:
        await introduce(uow, shown)
    await look(context)


async def look(context: Context) -> bool:
    """Plan by what is known now of nodes and specs, whoever wrote it down; True where machines changed."""
    async with context.kit.store.reading() as connection:
        known = await known_nodes(connection)
        await context.specs.refresh(connection)
    return context.ledger.note(known.values())


async def oversee(context: Context, lease: Lease | None) -> None:
    """For the one that has the lease: write down what the inventory shows, take back what is lost or to be drained,
    and grant what fits now. Raises Unavailable where the inventory can't tell: then nothing is lost."""
    settings, shown = context.settings, await context.kit.platform.inventory.nodes()
    async with context.kit.store.work() as uow:
        if lease is not None:
            await context.kit.leases.guard(uow.connection, lease)
        await observe(
            uow,
            shown,
            await granted_now(uow.connection),
            grace=settings.node_grace_seconds,
            keep=settings.node_keep_seconds,
        )
    await look(context)
    async with context.kit.store.work() as uow:
        if lease is not None:
            await context.kit.leases.guard(uow.connection, lease)
        await clear(context, uow)
        await context.ledger.fill(uow)


async def clear(context: Context, uow: UnitOfWork) -> int:
    """Take back what is promised on what is lost, and end what is on draining nodes; how many that concerned."""
    known = await known_nodes(uow.connection)
    if not any(one.lost or one.lost_devices or one.mark is Mark.DRAINING for one in known.values()):
        return 0
    holding = [one for one in await granted_now(uow.connection) if one.state != AllocationState.REVOKED]
    return await take_back(uow, known.values(), holding, context.ledger, context.settings.drain_grace_seconds)


async def cordon(context: Context, name: str, reason: str, by: str) -> None:
    """Let it take nothing new. Raises NotFound (`node_not_found`)."""
    await _mark(context, name, "cordon", reason, by)


async def drain(context: Context, name: str, reason: str, by: str, grace: float | None = None) -> None:
    """Let it take nothing new, and ask what runs there to end within `grace` seconds. Raises NotFound."""
    await _mark(context, name, "drain", reason, by, grace)


async def uncordon(context: Context, name: str, by: str) -> None:
    """Let it take work again. Raises NotFound."""
    await _mark(context, name, "uncordon", "", by)


async def _mark(context: Context, name: str, verb: str, reason: str, by: str, grace: float | None = None) -> None:
    async with context.kit.store.work() as uow:
        await take_turn(uow.connection)
        node = (await known_node(uow.connection, name)).marked(verb, reason, by, uow.clock.now(), grace)
        await save_node(uow.connection, node)
    await look(context)
    async with context.kit.store.work() as uow:
        await clear(context, uow)
        await context.ledger.fill(uow)


async def fence(context: Context, name: str) -> None:
    """An administrator confirms that a lost node is dead: what was revoked on it is free, whatever the runtime knows.

    Raises NotFound, Conflict (`node_not_lost`): what still shows may still run workloads."""
    async with context.kit.store.work() as uow:
        await take_turn(uow.connection)
        node = await known_node(uow.connection, name)
        if node.state is not NodeState.LOST:
            raise Conflict(
                "node_not_lost",
                f"The node {name} is {node.state}, and only a lost one can be fenced: its workloads may still run. "
                "Drain it, or take it out of the inventory and wait until it is lost.",
            )
        await save_node(uow.connection, node.confirmed_dead(uow.clock.now()))
        await clear(context, uow)
        await context.ledger.fence(uow, name)
