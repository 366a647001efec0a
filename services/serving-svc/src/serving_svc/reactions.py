"""Everything that serving-svc hears."""

from __future__ import annotations

from common.contracts.allocation import AllocationGranted, AllocationPreempting, AllocationRefused, AllocationRevoked
from common.contracts.model import ModelPublished
from common.db.inbox import Heard, Reactions
from common.db.uow import UnitOfWork
from serving_svc.context import Context
from serving_svc.usecases import create_from_model, move


async def on_model_published(uow: UnitOfWork, heard: Heard[ModelPublished]) -> None:
    """A model becomes a service."""
    await create_from_model(uow, heard.data)


def reactions(context: Context) -> Reactions:
    """Event to handlers."""
    workloads = context.workloads

    async def on_allocation_preempting(uow: UnitOfWork, heard: Heard[AllocationPreempting]) -> None:
        """A replica is to give way: at once to more urgent work; where its node is drained, after its replacement."""
        if heard.data.moving:
            await move(uow, heard.data.workload, heard.data.grace, context.settings)
            uow.after_commit(context.wake)
        else:
            await workloads.on_allocation_preempting(uow, heard)

    return {
        ModelPublished: [on_model_published],
        AllocationGranted: [workloads.on_allocation_granted],
        AllocationRefused: [workloads.on_allocation_refused],
        AllocationPreempting: [on_allocation_preempting],
        AllocationRevoked: [workloads.on_allocation_revoked],
    }
