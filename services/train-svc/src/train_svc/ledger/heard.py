"""What a batch of events asks for and gives back: taken down as it is heard, so that one plan does for all of it.

A handler gets events by the hundred in one transaction (decision 0012), and a plan each would be a hundred plans.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from common.contracts.allocation import AllocationRequested
from common.contracts.allocation import Workload as Kind
from common.contracts.shared import Resources
from common.db.uow import UnitOfWork
from train_svc.domain.allocation import Allocation

_KEY = ("ledger", "heard")


@dataclass(frozen=True)
class Gone:
    """An allocation is wanted no more, or its workload is gone."""

    id: str
    workload: str
    kind: Kind
    owner: str

    def noted(self, now: datetime) -> Allocation:
        """As it is noted where nobody has asked yet, so that a request that comes late gets nothing."""
        one = Allocation(self.id, self.workload, self.kind, self.owner, Resources(), now, now)
        return one.moved("free", ended_at=now)


Pending = dict[str, tuple[AllocationRequested | Gone, datetime]]
"""What was heard and not planned for, by allocation, in order, with when that was."""


def pending_of(uow: UnitOfWork, settle: Callable[[UnitOfWork], Awaitable[None]]) -> Pending:
    """What was heard in this transaction, to be added to; `settle` plans for it before the commit."""
    known: Pending | None = uow.memo.get(_KEY)
    if known is None:
        known = uow.memo[_KEY] = {}
        uow.before_commit(lambda: settle(uow))
    return known


def take_pending(uow: UnitOfWork) -> Pending:
    """What was heard, to be planned for now."""
    known: Pending = uow.memo.pop(_KEY, {})
    return known
