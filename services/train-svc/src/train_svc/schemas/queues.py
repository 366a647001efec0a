"""Queues over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from train_svc.domain.queues import QueueRequest, told
from train_svc.domain.scheduling.quotas import Quotas
from train_svc.domain.scheduling.values import Queue
from train_svc.schemas.shared import Asked, ResourcesOut

Amounts = dict[str, float]


class QueueIn(Asked):
    """A queue of a group. Amounts are cores for `cpu`, bytes for `memory`, else pieces of a kind of accelerator.

    `guaranteed` it can always claim back from its `cohort`; `maximum` bounds what it uses in all, `borrowing` what it
    uses above its guarantee, and `per_user` what each user may use of it. What is not named is not limited. `weight` is
    its share beside other groups.
    """

    group: str = Field(min_length=1, max_length=80)
    guaranteed: Amounts = Field(default_factory=dict, max_length=50)
    maximum: Amounts = Field(default_factory=dict, max_length=50)
    borrowing: Amounts | None = Field(default=None, max_length=50)
    cohort: str | None = Field(default=None, min_length=1, max_length=63)
    weight: float = Field(default=1.0, allow_inf_nan=False)
    per_user: Amounts = Field(default_factory=dict, max_length=50)

    def asked(self) -> QueueRequest:
        """As the domain has it."""
        return QueueRequest(**self.model_dump())


class WaitingOut(BaseModel):
    """One place in line, counted over all queues. What others wait for is told without saying whose it is."""

    position: int
    kind: str
    resources: ResourcesOut
    allocation: str | None
    workload: str | None
    created_at: datetime


class QueueOut(BaseModel):
    """A queue: what it may use and uses, and who waits in it, as many as are told."""

    id: str
    name: str
    group: str
    guaranteed: Amounts
    maximum: Amounts
    borrowing: Amounts | None
    cohort: str | None
    weight: float
    per_user: Amounts
    used: Amounts
    granted: int
    waiting_total: int
    waiting: list[WaitingOut]

    @classmethod
    def of(cls, queue: Queue, quotas: Quotas, granted: int, waiting_total: int, waiting: list[WaitingOut]) -> Self:
        """As it is told."""
        return cls(
            id=queue.name,
            name=queue.name,
            group=queue.group,
            guaranteed=told(queue.guaranteed),
            maximum=told(queue.maximum),
            borrowing=None if queue.borrowing is None else told(queue.borrowing),
            cohort=queue.cohort,
            weight=queue.weight,
            per_user=told(queue.per_user),
            used={name: amount for name, amount in told(quotas.accounts[queue.name].used).items() if amount},
            granted=granted,
            waiting_total=waiting_total,
            waiting=waiting,
        )


class QueuesOut(BaseModel):
    """All queues, and the priorities that have names."""

    items: list[QueueOut]
    priority_classes: dict[str, int]
