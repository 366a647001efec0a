"""The ledger: which devices, CPUs and memory are promised to whom, for every workload on the platform.

All of it happens inside the caller's transaction. Whoever plans counts up the ledger's row first, so that plans follow
one another also where several instances run; the scheduler itself is `domain.scheduling`, a pure function, whose state
is kept in memory from one plan to the next (`memory`), and made anew from the database where it is not the last one.

The order of locks is: a job, its attempt, the ledger's row, allocations. So a plan touches no job but the one that its
transaction began with: others hear of their grant by its event.
"""

from __future__ import annotations

from train_svc.domain.asking import DEFAULT_QUEUE
from train_svc.ledger.book import Ledger, OnGrant
from train_svc.ledger.heard import Gone
from train_svc.ledger.reading import granted_now, waiting_in_order
from train_svc.ledger.writing import promised

QUEUE = DEFAULT_QUEUE

__all__ = ["QUEUE", "Gone", "Ledger", "OnGrant", "granted_now", "promised", "waiting_in_order"]
