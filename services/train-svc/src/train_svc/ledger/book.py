"""The ledger's verbs: look, take, free, confirm, and plan anew. See the package for the rules that they keep."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.contracts.allocation import AllocationRefused, AllocationRequested
from common.contracts.allocation import Workload as Kind
from common.contracts.shared import Resources
from common.db.database import may_lock
from common.db.uow import UnitOfWork
from common.kernel.ids import new_id
from common.ports.inventory import Inventory, Node
from train_svc.domain.allocation import TRANSITIONS, Allocation, AllocationState, asked_for
from train_svc.domain.asking import DEFAULT_QUEUE, empty_state, never_fits, offered
from train_svc.domain.errors import NeverFits
from train_svc.domain.node import KnownNode
from train_svc.domain.scheduling.planner import State
from train_svc.domain.scheduling.values import Admit, Decision, Delta, Policy, Queue, Refuse
from train_svc.ledger.heard import Gone, pending_of, take_pending
from train_svc.ledger.machines import Machines
from train_svc.ledger.memory import Memory, snapshot_of
from train_svc.ledger.reading import by_id, open_ones, queues_of
from train_svc.ledger.row import count_up, last_mark
from train_svc.ledger.writing import changed_by, decided, promise, take_back, tell
from train_svc.storage import allocations, allocations_table

OnGrant = Callable[[UnitOfWork, Allocation], Awaitable[None]]


@dataclass
class Ledger:
    """The ledger of one pool. `on_grant` is called, in the transaction, for a job's request that is granted at once.

    `holder` names this instance; `classes` are the priorities that have names.
    """

    inventory: Inventory
    cpu_overcommit: float
    on_grant: OnGrant | None = None
    policy: Policy = field(default_factory=Policy)
    classes: Mapping[str, int] = field(default_factory=dict)
    holder: str = "alone"
    epoch: int = 0

    def __post_init__(self) -> None:
        self.machines = Machines(self.inventory, self.cpu_overcommit)
        self.memory = Memory(self.policy)
        self._queues: tuple[Queue, ...] = ()
        self._empty: tuple[tuple[Node, ...], tuple[Queue, ...], State] = ((), (), empty_state(()))

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The machines that there are, with as much CPU as may be promised of them."""
        return self.machines.nodes

    async def look(self) -> bool:
        """Look at nodes and devices afresh, outside any transaction; True where something changed."""
        return await self.machines.look()

    def note(self, known: Iterable[KnownNode]) -> bool:
        """These are the nodes, with what administrators say of them; True where something changed."""
        return self.machines.note(known)

    async def queues(self, connection: AsyncConnection) -> tuple[Queue, ...]:
        """All queues, by name."""
        self._queues = await queues_of(connection)
        return self._queues

    def never_fits(self, resources: Resources, queue: str = DEFAULT_QUEUE) -> NeverFits | None:
        """Why that could never begin in that queue, by what is known of nodes and queues; None where it can."""
        nodes, queues, state = self._empty
        if nodes is not self.machines.nodes or queues is not self._queues:
            state = empty_state(self.machines.nodes, self._queues)
            self._empty = (self.machines.nodes, self._queues, state)
        return never_fits(state, resources, queue)

    async def submit(self, uow: UnitOfWork, ask: AllocationRequested) -> Allocation:
        """Take a request that was heard. Heard twice it is taken once, and after it was cancelled not at all."""
        known = await allocations.find(uow.connection, ask.id)
        return known if known is not None else await self.take(uow, ask)

    async def take(self, uow: UnitOfWork, ask: AllocationRequested) -> Allocation:
        """Take a new request, and grant or refuse it now where that is decided."""
        asked = self._asked(ask, await self._begin(uow), uow.clock.now())
        decisions = self._plan(uow, Delta(submitted=(asked.as_request(),)))
        refusal = next((one for one in decisions if isinstance(one, Refuse) and one.id == asked.id), None)
        if refusal is not None:
            await self._write(uow, decisions)
            return await self._refuse(uow, asked, refusal)
        asked = await self._write(uow, decisions, asked) or asked
        if asked.state == AllocationState.GRANTED and asked.kind == "job" and self.on_grant is not None:
            await self.on_grant(uow, asked)
        return asked

    def _asked(self, ask: AllocationRequested, number: int, now: datetime) -> Allocation:
        """A request as the ledger takes it: with its queue, and the priority that its class has."""
        known = self.memory.state.books.quotas.queues
        queue = ask.queue or queue_of(known.values(), ask.groups)
        priority = self.classes.get(ask.priority_class or "", ask.priority)
        return asked_for(ask, queue, priority, number, now)

    async def _refuse(self, uow: UnitOfWork, asked: Allocation, refusal: Refuse) -> Allocation:
        why = NeverFits(asked.resources, offered(asked.resources, refusal.largest), refusal.reason)
        refused = asked.moved("refuse", detail=why.detail, ended_at=uow.clock.now())
        await allocations.add(uow.connection, refused)
        told = AllocationRefused(
            id=asked.id,
            workload=asked.workload,
            code=why.code,
            reason=why.detail,
            largest=why.largest,
            kind=asked.kind,
        )
        uow.emit(told, subject=asked.id, owner=asked.owner)
        return refused

    async def hear(self, uow: UnitOfWork, told: AllocationRequested | Gone) -> None:
        """Take a request, or that an allocation is wanted no more or its workload gone, with whatever else is heard in
        this transaction: planned for at once before it commits, or before anything else is asked of the ledger."""
        pending = pending_of(uow, self._settle)
        if told.id in pending:
            await self._settle(uow)
            pending = pending_of(uow, self._settle)
        pending[told.id] = (told, uow.clock.now())

    async def _settle(self, uow: UnitOfWork) -> None:
        """One plan for all that was heard."""
        told = take_pending(uow)
        if not told:
            return
        number = await self._begin(uow)
        known = await by_id(uow.connection, told)
        new = [(one, when) for one, when in told.values() if one.id not in known]
        strangers = [one.noted(when) for one, when in new if isinstance(one, Gone)]
        await allocations.add_all(uow.connection, strangers)
        asked = [self._asked(one, number, when) for one, when in new if isinstance(one, AllocationRequested)]
        gone = [known[one.id] for one, _ in told.values() if isinstance(one, Gone) and one.id in known]
        await self._leave(uow, [one for one in gone if not one.ended], asked)

    async def free(self, uow: UnitOfWork, allocation_id: str, workload: str, kind: Kind, owner: str) -> None:
        """It is wanted no more, or its workload is gone: grant what it held to those who wait. Twice is once.

        One that is not known yet is noted as cancelled, so that a request that comes late gets nothing.
        """
        await self._begin(uow)  # before any allocation: whoever plans takes both in this order
        known = await allocations.find(uow.connection, allocation_id)
        if known is not None and known.ended:
            return
        if known is None:
            await allocations.add(uow.connection, Gone(allocation_id, workload, kind, owner).noted(uow.clock.now()))
            return
        await self._leave(uow, [known])

    async def end(self, uow: UnitOfWork, allocation_ids: Iterable[str]) -> int:
        """The workloads of these are gone, all at once; gives how many others begin for it."""
        await self._begin(uow)
        known = await by_id(uow.connection, allocation_ids)
        return await self._leave(uow, [one for one in known.values() if not one.ended])

    async def _leave(self, uow: UnitOfWork, leaving: Sequence[Allocation], asked: Sequence[Allocation] = ()) -> int:
        """They are over: plan with what they leave, and with what is `asked` beside."""
        now = uow.clock.now()
        over = [one.moved("free", ended_at=now, claim=None) for one in leaving]
        await allocations.save_all(uow.connection, over, now=now)
        await take_back(uow.connection, [one for one in leaving if one.holds])
        ended = tuple(one.id for one in leaving if one.holds)
        cancelled = tuple(one.id for one in leaving if not one.holds)
        submitted = tuple(one.as_request() for one in asked)
        decisions = self._plan(uow, Delta(ended=ended, cancelled=cancelled, submitted=submitted))
        refusals = {decision.id: decision for decision in decisions if isinstance(decision, Refuse)}
        await allocations.add_all(uow.connection, [one for one in asked if one.id not in refusals])
        for one in asked:
            if one.id in refusals:
                await self._refuse(uow, one, refusals[one.id])
        await self._write(uow, decisions)
        return sum(isinstance(decision, Admit) for decision in decisions)

    async def fill(self, uow: UnitOfWork) -> int:
        """Plan anew, for when nodes changed or time went by; gives how many begin."""
        await self._begin(uow)
        decisions = self._plan(uow, Delta())
        await self._write(uow, decisions)
        return sum(isinstance(decision, Admit) for decision in decisions)

    async def alone(self, uow: UnitOfWork) -> None:
        """Until this transaction ends nobody else plans."""
        await self._begin(uow)

    async def requeue(self, uow: UnitOfWork) -> None:
        """Queues were changed in this transaction, which has planning to itself: plan by them from now on."""
        await self._write(uow, self._plan(uow, Delta(queues=await self.queues(uow.connection))))

    async def revoke(self, uow: UnitOfWork, allocation_ids: Sequence[str], reason: str) -> None:
        """Take these back, since what holds them is lost; free they are once their workloads are confirmed gone."""
        await self._begin(uow)
        known = await by_id(uow.connection, allocation_ids)
        now = uow.clock.now()
        lost = [one.revoked(now, reason) for one in known.values() if TRANSITIONS.allows(one.state, "revoke")]
        await self._end(uow, lost, 0.0)

    async def preempt(self, uow: UnitOfWork, allocation_ids: Sequence[str], reason: str, grace: float) -> None:
        """Ask the workloads of these to end within `grace` seconds."""
        await self._begin(uow)
        known = await by_id(uow.connection, allocation_ids)
        now = uow.clock.now()
        told = [one.told(now, grace, reason) for one in known.values() if TRANSITIONS.allows(one.state, "preempt")]
        await self._end(uow, told, grace)

    async def _end(self, uow: UnitOfWork, ending: Sequence[Allocation], grace: float) -> None:
        await allocations.save_all(uow.connection, ending, now=uow.clock.now())
        tell(uow, ending, grace, {})
        await self._write(uow, self._plan(uow, Delta(ending=tuple(one.id for one in ending))))

    async def fence(self, uow: UnitOfWork, node: str) -> None:
        """An administrator vouches that nothing runs on a node any more: what was revoked there is free."""
        await self._begin(uow)
        revoked = await allocations.where(uow.connection, allocations_table.c.state == AllocationState.REVOKED)
        await self._leave(uow, [one for one in revoked if any(place.node == node for place in one.placements)])

    async def confirm(self, uow: UnitOfWork, ids: Iterable[str]) -> None:
        """Their owner knows of them still."""
        known = update(allocations_table).where(allocations_table.c.id.in_(sorted(set(ids))))
        await uow.connection.execute(known.values(confirmed_at=uow.clock.now()))

    async def seen(self, connection: AsyncConnection) -> State:
        """The state as this snapshot of the database has it, to explain by; use it before anything else is awaited."""
        mark = await last_mark(connection)
        if mark is not None and mark == self.memory.mark:
            return self.memory.state
        found, queues = await open_ones(connection), await self.queues(connection)
        return State.of(snapshot_of(self.policy, self.machines.planned, queues, found))

    def _plan(self, uow: UnitOfWork, delta: Delta) -> tuple[Decision, ...]:
        return self.memory.plan(delta, uow.clock.now().timestamp(), self.machines.planned)

    async def _write(
        self, uow: UnitOfWork, decisions: Sequence[Decision], new: Allocation | None = None
    ) -> Allocation | None:
        """Write down what was decided, and tell; gives `new` as it was decided."""
        connection, fresh = uow.connection, [] if new is None else [new]
        dropped = self.memory.dropped
        known = await changed_by(connection, decisions, fresh, dropped)
        unclaimed = {one: replace(known[one], claim=None) for one in dropped}
        changed = decided({**known, **unclaimed}, decisions, self.memory.state.books.claims, uow)
        changed += [one for one in unclaimed.values() if one.id not in {other.id for other in changed}]
        mine = next((one for one in changed if new is not None and one.id == new.id), new)
        await allocations.save_all(connection, [one for one in changed if one is not mine], now=uow.clock.now())
        if mine is not None:
            await allocations.add(connection, mine)
        admitted = {
            decision.id for decision in decisions if isinstance(decision, Admit)
        }  # some are told to end at once
        await promise(connection, [one for one in changed if one.id in admitted], self.memory.planned)
        tell(uow, changed, self.policy.grace, known)
        await self._grant(uow, [one for one in changed if one is not mine])
        return mine

    async def _grant(self, uow: UnitOfWork, changed: Sequence[Allocation]) -> None:
        """Jobs begin in this very transaction where that can lock nothing in a wrong order: with one writer at a time.
        Elsewhere they hear of it by the event."""
        if self.on_grant is None or may_lock(uow.connection):
            return
        for one in changed:
            if one.state == AllocationState.GRANTED and one.kind == "job":
                await self.on_grant(uow, one)

    async def _begin(self, uow: UnitOfWork) -> int:
        """Count up the ledger's row, which makes every other planner wait until this transaction ends; and remember.

        Whoever planned before, and stood still meanwhile, finds another mark there than its own: it plans from what
        the database says then, and not from what it remembers. What was heard before is planned for first.
        """
        await self._settle(uow)
        mark = new_id("plan")
        turn = await count_up(uow.connection, mark, self.holder)
        self.epoch = turn.epoch
        await self.memory.recall(uow.connection, turn.previous, mark, self.machines.planned)
        return turn.number


def queue_of(queues: Iterable[Queue], groups: Sequence[str]) -> str:
    """The queue of the first of these groups that has one; else the default one."""
    by_group = {queue.group: queue.name for queue in queues}
    return next((by_group[group] for group in groups if group in by_group), DEFAULT_QUEUE)
