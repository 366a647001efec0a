"""Decisions written down: whose each device is, what of each node is promised, and the events that tell it.

A plan may decide a thousand things: each table is written in one crossing, whatever their number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.contracts.allocation import AllocationGranted, AllocationPreempting, AllocationRevoked
from common.db.direct import Direct
from common.db.uow import UnitOfWork
from common.kernel.events import EventData
from train_svc.domain.allocation import Allocation, AllocationState
from train_svc.domain.asking import member_of
from train_svc.domain.scheduling.values import Admit, Claim, Decision, Node, Preempt, Revoke
from train_svc.ledger.reading import by_id
from train_svc.storage import granted_devices

# as text, because both dialects read it alike
_USE = Direct(
    text(
        "INSERT INTO node_usage (node, cpu, cpu_limit, memory, memory_limit)"
        " VALUES (:node, :cpu, :cpu_limit, :memory, :memory_limit)"
        " ON CONFLICT (node) DO UPDATE SET cpu = node_usage.cpu + excluded.cpu, cpu_limit = excluded.cpu_limit,"
        " memory = node_usage.memory + excluded.memory, memory_limit = excluded.memory_limit"
    )
)
_FREE = Direct(text("DELETE FROM granted_devices WHERE allocation = :allocation"))
_LEAVE = Direct(text("UPDATE node_usage SET cpu = cpu - :cpu, memory = memory - :memory WHERE node = :node"))
_HOLD = Direct(insert(granted_devices))


def decided(
    known: Mapping[str, Allocation], decisions: Iterable[Decision], claims: Mapping[str, Claim], uow: UnitOfWork
) -> list[Allocation]:
    """The allocations as those decisions leave them, in the order in which they were decided."""
    after: dict[str, Allocation] = {}

    def of(allocation_id: str) -> Allocation:
        return after.get(allocation_id) or known[allocation_id]

    for decision in decisions:
        if isinstance(decision, Admit):
            placed = {"placements": decision.placements, "granted_at": uow.clock.now(), "claim": None, "detail": ""}
            after[decision.id] = of(decision.id).moved("grant", **placed)
        elif isinstance(decision, Preempt):
            asker = of(decision.request)
            after[asker.id] = replace(asker, claim=claims.get(asker.id))
            for victim in decision.victims:
                detail = f"It was told to end within {decision.grace:g} s, for one of priority {asker.priority}."
                after[victim] = of(victim).told(uow.clock.now(), decision.grace, detail, asker.id)
        elif isinstance(decision, Revoke) and of(decision.id).state != AllocationState.REVOKED:
            detail = f"The node {decision.node}, or a device of it, is lost."
            after[decision.id] = of(decision.id).revoked(uow.clock.now(), detail)
    return list(after.values())


def concerned(decisions: Iterable[Decision]) -> set[str]:
    """The ids of those whom decisions change."""
    found: set[str] = set()
    for decision in decisions:
        if isinstance(decision, Admit | Revoke):
            found.add(decision.id)
        elif isinstance(decision, Preempt):
            found.update((decision.request, *decision.victims))
    return found


def tell(uow: UnitOfWork, changed: Sequence[Allocation], grace: float, owners: Mapping[str, Allocation]) -> None:
    """An event for each that was granted, told to end, or revoked; `owners` are those for whom others end."""
    for one in changed:
        event = event_of(one, grace, owners)
        if event is not None:
            uow.emit(event, subject=one.id, owner=one.owner)


def event_of(one: Allocation, grace: float, owners: Mapping[str, Allocation]) -> EventData | None:
    """What is told of one that was decided on; None where that concerns nobody else."""
    if one.state == AllocationState.GRANTED:
        return AllocationGranted(id=one.id, workload=one.workload, placements=one.placements, kind=one.kind)
    if one.state == AllocationState.PREEMPTING:
        asker = owners.get(one.ends_for or "")
        begins = asker.workload if asker is not None and asker.owner == one.owner else None
        return AllocationPreempting(
            id=one.id,
            workload=one.workload,
            grace=grace,
            reason=one.detail,
            for_workload=begins,
            moving=one.ends_for is None,
            kind=one.kind,
        )
    if one.state == AllocationState.REVOKED:
        preempted = one.told_at is not None
        return AllocationRevoked(
            id=one.id, workload=one.workload, reason=one.detail, preempted=preempted, kind=one.kind
        )
    return None


async def promise(connection: AsyncConnection, granted: Sequence[Allocation], nodes: Mapping[str, Node]) -> None:
    """Write down whose each device is now, and how much of each node is promised.

    Raises IntegrityError where that is somebody's already: the plan was made from a state that is not the true one.
    """
    rows = [
        {"node": placement.node, "device": device, "allocation": one.id}
        for one in granted
        for placement in one.placements
        for device in placement.devices
    ]
    if rows:
        await _HOLD.run_all(connection, rows)
    cpu, memory = promised(granted)
    usage = [
        {
            "node": node,
            "cpu": cpu[node],
            "cpu_limit": nodes[node].cpu,
            "memory": memory[node],
            "memory_limit": nodes[node].memory,
        }
        for node in sorted(cpu)
    ]
    if usage:
        await _USE.run_all(connection, usage)


async def take_back(connection: AsyncConnection, held: Sequence[Allocation]) -> None:
    """What they held is nobody's now."""
    gone = [{"allocation": one.id} for one in held if any(placement.devices for placement in one.placements)]
    if gone:
        await _FREE.run_all(connection, gone)
    cpu, memory = promised(held)
    left = [{"node": node, "cpu": cpu[node], "memory": memory[node]} for node in sorted(cpu)]
    if left:
        await _LEAVE.run_all(connection, left)


async def changed_by(
    connection: AsyncConnection, decisions: Sequence[Decision], known: Iterable[Allocation], more: Iterable[str] = ()
) -> dict[str, Allocation]:
    """The allocations that decisions change, and `more`, as they are; those that are `known` need not be read."""
    there = {one.id: one for one in known}
    wanted = concerned(decisions).union(more) - there.keys()
    return {**(await by_id(connection, wanted) if wanted else {}), **there}


def promised(granted: Iterable[Allocation]) -> tuple[Counter[str], Counter[str]]:
    """What those hold of each node: CPU in millicores, memory in bytes."""
    cpu: Counter[str] = Counter()
    memory: Counter[str] = Counter()
    for one in granted:
        member = member_of(one.resources)
        for placement in one.placements:
            cpu[placement.node] += member.cpu
            memory[placement.node] += member.memory
    return cpu, memory
