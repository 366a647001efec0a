"""Who runs next, and where: pure functions over values, with no clock, no database and no chance in them.

`first_come` is what the ledger decides by today; `planner.plan` is the scheduler with queues, fairness, backfill and
preemption, over the values of `values`.
"""

from __future__ import annotations

from train_svc.domain.scheduling.first_come import (
    Ask,
    Free,
    Grant,
    Held,
    State,
    ever_fits,
    free,
    largest,
    place,
    plan,
)

__all__ = ["Ask", "Free", "Grant", "Held", "State", "ever_fits", "free", "largest", "place", "plan"]
