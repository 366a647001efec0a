"""The ledger: which devices, CPUs and memory are promised to whom, for every workload on the platform.

All of it happens inside the caller's transaction. Whoever plans first counts up the queue's row, so that plans follow
one another also where several instances run; the scheduler itself is `domain.scheduling`, a pure function.

The order of locks is: a job, its attempt, the queue, allocations. So a plan touches no job but the one that its
transaction began with: others hear of their grant by its event.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from sqlalchemy import delete, insert, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from common.contracts.allocation import AllocationGranted, AllocationRefused, AllocationRequested
from common.contracts.allocation import Workload as Kind
from common.contracts.shared import Placement, Resources
from common.db.uow import UnitOfWork
from common.ports.inventory import Inventory, Node
from train_svc.domain import scheduling
from train_svc.domain.allocation import Allocation, AllocationState
from train_svc.domain.errors import NeverFits
from train_svc.storage import allocations, allocations_table, granted_devices, ledgers

QUEUE = "default"

OnGrant = Callable[[UnitOfWork, Allocation], Awaitable[None]]


@dataclass
class Ledger:
    """The ledger of one pool. `on_grant` is called, in the transaction, for a job's request that is granted at once."""

    inventory: Inventory
    cpu_overcommit: float
    nodes: tuple[Node, ...] = ()
    on_grant: OnGrant | None = None

    async def look(self) -> bool:
        """Look at nodes and devices afresh, outside any transaction; True where something changed."""
        seen = await self.inventory.nodes()
        nodes = tuple(replace(node, cpu=node.cpu * self.cpu_overcommit) for node in seen)
        changed, self.nodes = nodes != self.nodes, nodes
        return changed

    async def submit(self, uow: UnitOfWork, ask: AllocationRequested) -> Allocation:
        """Take a request that was heard. Heard twice it is taken once, and after it was cancelled not at all."""
        known = await allocations.find(uow.connection, ask.id)
        return known if known is not None else await self.take(uow, ask)

    async def take(self, uow: UnitOfWork, ask: AllocationRequested) -> Allocation:
        """Take a new request, and grant or refuse it now where that is decided."""
        now = uow.clock.now()
        number = await self._next(uow.connection)
        asked = Allocation(
            ask.id, ask.workload, ask.kind, ask.owner, ask.resources, now, now, number=number, priority=ask.priority
        )
        if not scheduling.ever_fits(ask.resources, self.nodes):
            return await self._refuse(uow, asked)
        for grant in scheduling.plan(await self.state(uow.connection, asked)):
            if grant.id != ask.id:
                await self._grant(uow, await allocations.get(uow.connection, grant.id), grant.placements)
                continue
            asked = asked.moved("grant", placements=grant.placements, granted_at=now)
        await allocations.add(uow.connection, asked)
        if asked.state == AllocationState.GRANTED:
            await self._promise(uow, asked)
            if asked.kind == "job" and self.on_grant is not None:
                await self.on_grant(uow, asked)
        return asked

    async def _refuse(self, uow: UnitOfWork, asked: Allocation) -> Allocation:
        why = NeverFits(asked.resources, scheduling.largest(asked.resources, self.nodes))
        refused = asked.moved("refuse", detail=why.detail, ended_at=uow.clock.now())
        await allocations.add(uow.connection, refused)
        told = AllocationRefused(
            id=asked.id, workload=asked.workload, code=why.code, reason=why.detail, largest=why.largest
        )
        await uow.emit(told, subject=asked.id, owner=asked.owner)
        return refused

    async def free(self, uow: UnitOfWork, allocation_id: str, workload: str, kind: Kind, owner: str) -> None:
        """It is wanted no more, or its workload is gone: grant what it held to those who wait. Twice is once.

        One that is not known yet is noted as cancelled, so that a request that comes late gets nothing.
        """
        await self._next(uow.connection)  # before any allocation: whoever plans takes both in this order
        known = await allocations.find(uow.connection, allocation_id)
        if known is not None and known.ended:
            return
        now = uow.clock.now()
        if known is None:
            gone = Allocation(allocation_id, workload, kind, owner, Resources(), now, now)
            await allocations.add(uow.connection, gone.moved("free", ended_at=now))
            return
        await allocations.save(uow.connection, known.moved("free", ended_at=now), now=now)
        await uow.connection.execute(delete(granted_devices).where(granted_devices.c.allocation == allocation_id))
        await self._fill(uow)

    async def fill(self, uow: UnitOfWork) -> int:
        """Grant whatever fits now, for when nodes changed; gives how many were granted."""
        await self._next(uow.connection)
        return await self._fill(uow)

    async def _fill(self, uow: UnitOfWork) -> int:
        grants = scheduling.plan(await self.state(uow.connection))
        for grant in grants:
            await self._grant(uow, await allocations.get(uow.connection, grant.id), grant.placements)
        return len(grants)

    async def state(self, connection: AsyncConnection, *new: Allocation) -> scheduling.State:
        """What a plan follows from, with `new` requests that are not written yet."""
        open_ones = allocations_table.c.state.in_([AllocationState.WAITING, AllocationState.GRANTED])
        found = [*await allocations.where(connection, open_ones), *new]
        return scheduling.State(
            self.nodes,
            tuple(a.as_held() for a in found if a.state == AllocationState.GRANTED),
            tuple(a.as_ask() for a in found if a.state == AllocationState.WAITING),
        )

    async def _grant(self, uow: UnitOfWork, waiting: Allocation, placements: tuple[Placement, ...]) -> None:
        now = uow.clock.now()
        granted = waiting.moved("grant", placements=placements, granted_at=now)
        await self._promise(uow, await allocations.save(uow.connection, granted, now=now))

    async def _promise(self, uow: UnitOfWork, granted: Allocation) -> None:
        """Write down whose each device is now, and tell."""
        rows = [
            {"node": placement.node, "device": device, "allocation": granted.id}
            for placement in granted.placements
            for device in placement.devices
        ]
        if rows:
            await uow.connection.execute(insert(granted_devices), rows)
        told = AllocationGranted(id=granted.id, workload=granted.workload, placements=granted.placements)
        await uow.emit(told, subject=granted.id, owner=granted.owner)

    async def _next(self, connection: AsyncConnection) -> int:
        """Count up the queue's row, which makes every other planner wait until this transaction ends."""
        counted = update(ledgers).where(ledgers.c.name == QUEUE).values(number=ledgers.c.number + 1)
        number = (await connection.execute(counted.returning(ledgers.c.number))).scalar_one_or_none()
        if number is not None:
            return int(number)
        make = pg_insert if connection.dialect.name == "postgresql" else sqlite_insert
        await connection.execute(make(ledgers).values(name=QUEUE, number=0).on_conflict_do_nothing())
        return await self._next(connection)


async def waiting_in_order(connection: AsyncConnection) -> list[Allocation]:
    """Those that wait, as they came."""
    waiting = await allocations.where(connection, allocations_table.c.state == AllocationState.WAITING)
    return sorted(waiting, key=lambda allocation: allocation.number)


async def granted_now(connection: AsyncConnection) -> list[Allocation]:
    """Those that hold something."""
    return await allocations.where(connection, allocations_table.c.state == AllocationState.GRANTED)
