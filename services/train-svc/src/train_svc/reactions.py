"""Everything that train-svc hears, on one screen."""

from __future__ import annotations

from common.contracts.algorithm import AlgorithmChanged, AlgorithmDeleted, AlgorithmOffline, AlgorithmOnline
from common.contracts.algorithm import AlgorithmSnapshot as AnyAlgorithm
from common.contracts.allocation import (
    AllocationCancelled,
    AllocationConfirmed,
    AllocationGranted,
    AllocationPreempting,
    AllocationRefused,
    AllocationReleased,
    AllocationRequested,
    AllocationRevoked,
)
from common.contracts.dataset import DatasetChanged, DatasetDeleted, DatasetOffline, DatasetOnline
from common.contracts.dataset import DatasetSnapshot as AnyDataset
from common.db.inbox import Heard, Reactions
from common.db.readmodels import forget, note
from common.db.uow import UnitOfWork
from train_svc.catalogue import ALGORITHM, DATASET
from train_svc.context import Context
from train_svc.domain.specs import normalised
from train_svc.ledger import Gone

Capacity = AllocationRequested | AllocationCancelled | AllocationReleased


def reactions(context: Context) -> Reactions:
    """What it does about what others tell."""
    ledger = context.ledger

    async def on_dataset_known(uow: UnitOfWork, heard: Heard[AnyDataset]) -> None:
        note(uow, DATASET, heard.envelope, heard.data)

    async def on_dataset_gone(uow: UnitOfWork, heard: Heard[DatasetOffline]) -> None:
        await forget(uow, DATASET, heard.envelope)

    async def on_algorithm_known(uow: UnitOfWork, heard: Heard[AnyAlgorithm]) -> None:
        note(uow, ALGORITHM, heard.envelope, heard.data)

    async def on_algorithm_gone(uow: UnitOfWork, heard: Heard[AlgorithmOffline]) -> None:
        await forget(uow, ALGORITHM, heard.envelope)

    async def on_capacity(uow: UnitOfWork, heard: Heard[Capacity]) -> None:
        await _take_in(context, uow, heard)

    async def on_allocation_confirmed(uow: UnitOfWork, heard: Heard[AllocationConfirmed]) -> None:
        await ledger.confirm(uow, heard.data.ids)

    return {
        DatasetOnline: [on_dataset_known],
        DatasetChanged: [on_dataset_known],
        DatasetOffline: [on_dataset_gone],
        DatasetDeleted: [on_dataset_gone],
        AlgorithmOnline: [on_algorithm_known],
        AlgorithmChanged: [on_algorithm_known],
        AlgorithmOffline: [on_algorithm_gone],
        AlgorithmDeleted: [on_algorithm_gone],
        AllocationRequested: [on_capacity],
        AllocationCancelled: [on_capacity],
        AllocationReleased: [on_capacity],
        AllocationConfirmed: [on_allocation_confirmed],
        AllocationGranted: [context.workloads.on_allocation_granted],
        AllocationRefused: [context.workloads.on_allocation_refused],
        AllocationPreempting: [context.workloads.on_allocation_preempting],
        AllocationRevoked: [context.workloads.on_allocation_revoked],
    }


async def _take_in(context: Context, uow: UnitOfWork, heard: Heard[Capacity]) -> None:
    """Asking and giving back go one way, so that both are taken in the order in which they were told. What jobs ask and
    give back was taken in the transactions that told it."""
    told = heard.data
    if told.kind == "job":
        return
    if isinstance(told, AllocationRequested):
        resources = normalised(told.resources, context.house.grounds)
        min_run = max(told.min_run, context.settings.min_run_seconds)
        await context.ledger.hear(uow, told.model_copy(update={"resources": resources, "min_run": min_run}))
    else:
        gone = Gone(told.id, told.workload, told.kind or "replica", heard.envelope.owner or "")
        await context.ledger.hear(uow, gone)
