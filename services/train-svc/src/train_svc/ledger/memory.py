"""The planner's state between two plans, with the mark of the transaction that it stands for.

A state is right only if that transaction was the last one to plan: the ledger's row tells. If it rolled back, or
another instance planned since, the row has another mark, and the state is made anew from the database. So there is
nothing to undo, and an instance that slept for an hour plans from what is, not from what it remembers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from train_svc.domain.allocation import Allocation, AllocationState
from train_svc.domain.asking import DEFAULT_QUEUE
from train_svc.domain.scheduling.planner import State, plan
from train_svc.domain.scheduling.values import Decision, Delta, Node, Policy, Queue, Snapshot
from train_svc.ledger.reading import open_ones, queues_of

Nodes = Mapping[str, Node]
"""The machines that capacity may be promised of, by name."""


class Memory:
    """A planner's state, and the transaction that it is the outcome of."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.mark: str | None = None
        self.rebuilt = 0
        self._state = State.of(Snapshot(policy, queues=(Queue(DEFAULT_QUEUE, DEFAULT_QUEUE),)))
        self.planned: dict[str, Node] = {}
        self.dropped: tuple[str, ...] = ()

    @property
    def state(self) -> State:
        """The state, to be looked at only."""
        return self._state

    async def recall(self, connection: AsyncConnection, before: str, mark: str, nodes: Nodes) -> None:
        """Be the state after the transaction `before`; from now on it is that of `mark`, which goes on from there."""
        if self.mark != before or before == "":
            await self.rebuild(connection, nodes)
        self.mark = mark

    async def rebuild(self, connection: AsyncConnection, nodes: Nodes) -> None:
        """Make the state from the database."""
        found, queues = await open_ones(connection), await queues_of(connection)
        snapshot = snapshot_of(self.policy, nodes, queues, found)
        self._state, self.rebuilt = State.of(snapshot), self.rebuilt + 1
        self.planned = {node.name: node for node in snapshot.nodes}

    def plan(self, delta: Delta, now: float, nodes: Nodes) -> tuple[Decision, ...]:
        """What to do, now that `delta` happened and the machines are these.

        A machine that is none of them any more takes nothing new; what it holds is held until that is taken back.
        """
        changed = [node for node in nodes.values() if self.planned.get(node.name) != node]
        changed += [replace(old, cordoned=True) for old in self.planned.values() if _left(old, nodes)]
        self.planned.update({node.name: node for node in changed})
        claims = set(self._state.books.claims)
        self._state, decisions = plan(self._state, replace(delta, nodes=tuple(changed)), now)
        books = self._state.books
        self.dropped = tuple(sorted(one for one in claims - books.claims.keys() if one in books.lines.requests))
        return decisions


def _left(node: Node, nodes: Nodes) -> bool:
    return node.name not in nodes and not node.cordoned


def snapshot_of(policy: Policy, nodes: Nodes, queues: Iterable[Queue], found: Iterable[Allocation]) -> Snapshot:
    """All that a plan follows from. A node that somebody holds something of is there, if only to be lost."""
    known = {queue.name for queue in queues}
    opened = [one if one.queue in known else replace(one, queue=DEFAULT_QUEUE) for one in found]
    held = {placement.node for one in opened if one.holds for placement in one.placements}
    unseen = tuple(Node(name, 0, 0, cordoned=True) for name in sorted(held - nodes.keys()))
    waiting = [one for one in opened if one.state == AllocationState.WAITING]
    going = {one.id for one in opened if one.state in (AllocationState.PREEMPTING, AllocationState.REVOKED)}
    return Snapshot(
        policy,
        (*nodes.values(), *unseen),
        tuple(queues),
        tuple(one.as_running() for one in opened if one.holds),
        tuple(one.as_request() for one in waiting),
        tuple(replace(one.claim, victims=one.claim.victims & going) for one in waiting if one.claim is not None),
    )
