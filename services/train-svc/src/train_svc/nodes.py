"""Nodes: what the inventory shows is written down, with what administrators say of it, and what is lost is revoked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

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
from train_svc.known import save_node, save_nodes, the
from train_svc.ledger import Ledger, granted_now
from train_svc.settings import Settings


async def introduce(context: Context, uow: UnitOfWork, shown: Iterable[Node]) -> None:
    """Write down what is shown, at the start of an instance: nothing is judged by what it doesn't show."""
    known = await context.nodes.take_turn(uow.connection)
    after = {node.name: observed(known.get(node.name), node, uow.clock.now(), float("inf")) for node in shown}
    await save_nodes(uow.connection, known, {**known, **{name: one for name, one in after.items() if one is not None}})


def judged(
    known: Mapping[str, KnownNode],
    shown: Sequence[Node],
    holding: Iterable[Allocation],
    now: datetime,
    settings: Settings,
) -> Mapping[str, KnownNode]:
    """What is known after a look at the inventory; the very same where nothing changed.

    What it shows no more is lost after a grace, and forgotten after a while where nothing of what `holding` holds is
    on it.
    """
    held, there = _held(holding), {node.name: node for node in shown}
    after: dict[str, KnownNode] = {}
    for name in {**known, **there}:
        one = observed(known.get(name), there.get(name), now, settings.node_grace_seconds)
        if one is not None and not forgettable(one, name in held, now, settings.node_keep_seconds):
            after[name] = without_lost_devices(one, held.get(name, frozenset()))
    return known if after == known else after


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
        await introduce(context, uow, shown)
    await look(context)


async def look(context: Context) -> bool:
    """Plan by what is known now of nodes and specs, whoever wrote it down; True where machines changed."""
    async with context.nodes.looking:
        async with context.kit.store.reading() as connection:
            known = await context.nodes.read(connection)
            await context.specs.refresh(connection)
        return context.ledger.note(known.values())


async def oversee(context: Context, lease: Lease | None) -> None:
    """For the one that has the lease: write down what the inventory shows, take back what is lost or to be drained,
    and grant what fits now. Raises Unavailable where the inventory can't tell: then nothing is lost."""
    async with context.nodes.overseeing:
        shown = await context.kit.platform.inventory.nodes()
        await _write_down(context, lease, shown)
    await look(context)
    async with context.kit.store.work() as uow:
        await _guard(context, uow, lease)
        await clear(context, uow)
        await context.ledger.fill(uow)


async def _write_down(context: Context, lease: Lease | None, shown: Sequence[Node]) -> None:
    if await _differs(context, shown):
        async with context.kit.store.work() as uow:
            await _guard(context, uow, lease)
            known = await context.nodes.take_turn(uow.connection)
            holding = await granted_now(uow.connection)
            after = judged(known, shown, holding, uow.clock.now(), context.settings)
            await save_nodes(uow.connection, known, after)


async def _differs(context: Context, shown: Sequence[Node]) -> bool:
    """Whether anything would be written: mostly not, and then nobody has to read it all again."""
    async with context.kit.store.reading() as connection:
        known = await context.nodes.read(connection)
        if context.nodes.agrees(shown, known):
            return False
        holding = await granted_now(connection)
    if judged(known, shown, holding, context.kit.store.clock.now(), context.settings) is not known:
        return True
    context.nodes.agree(shown, known)
    return False


async def _guard(context: Context, uow: UnitOfWork, lease: Lease | None) -> None:
    if lease is not None:
        await context.kit.leases.guard(uow.connection, lease)


async def clear(context: Context, uow: UnitOfWork) -> int:
    """Take back what is promised on what is lost, end what is on draining nodes, and free what was revoked on fenced
    ones; how many the first two concerned."""
    known = await context.nodes.read(uow.connection)
    marked = [one for one in known.values() if one.lost or one.lost_devices or one.mark is Mark.DRAINING]
    if not marked:
        return 0
    holding = [one for one in await granted_now(uow.connection) if one.state != AllocationState.REVOKED]
    concerned = await take_back(uow, marked, holding, context.ledger, context.settings.drain_grace_seconds)
    for one in marked:
        if one.fenced is not None:
            await context.ledger.fence(uow, one.name)
    return concerned


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
        known = await context.nodes.take_turn(uow.connection)
        node = the(known, name).marked(verb, reason, by, uow.clock.now(), grace)
        await save_node(uow.connection, node)
    await look(context)
    async with context.kit.store.work() as uow:
        await clear(context, uow)
        await context.ledger.fill(uow)


async def fence(context: Context, name: str) -> None:
    """An administrator confirms that a lost node is dead: what was revoked on it is free, whatever the runtime knows.

    Raises NotFound, Conflict (`node_not_lost`): what still shows may still run workloads."""
    async with context.kit.store.work() as uow:
        node = the(await context.nodes.take_turn(uow.connection), name)
        if node.state is not NodeState.LOST:
            raise Conflict(
                "node_not_lost",
                f"The node {name} is {node.state}, and only a lost one can be fenced: its workloads may still run. "
                "Drain it, or take it out of the inventory and wait until it is lost.",
            )
        await save_node(uow.connection, node.confirmed_dead(uow.clock.now()))
    async with context.kit.store.work() as uow:
        await clear(context, uow)
