"""The tables of train-svc and the repositories over them."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, MetaData, String, Table

from common.db.aggregates import Aggregates, aggregate_table
from common.db.tables import Instant, Json
from common.db.uow import UnitOfWork
from train_svc.domain.allocation import Allocation
from train_svc.domain.job import Job
from train_svc.domain.model import Model, ModelState

METADATA = MetaData()

jobs_table = aggregate_table(
    "jobs",
    METADATA,
    Column("purpose", String(64), nullable=False, index=True),
    Column("algorithm_id", String(48), nullable=False, index=True),
    Column("dataset_id", String(48), nullable=False, index=True),
    Column("deleted", Boolean, nullable=False),
)

models_table = aggregate_table(
    "models",
    METADATA,
    Column("purpose", String(64), nullable=False, index=True),
    Column("job_id", String(48), nullable=False, index=True),
    Column("deleted", Boolean, nullable=False),
)

allocations_table = aggregate_table(
    "allocations",
    METADATA,
    Column("number", Integer, nullable=False, index=True),
    Column("kind", String(16), nullable=False),
)

granted_devices = Table(
    "granted_devices",
    METADATA,
    Column("node", String(255), primary_key=True),
    Column("device", String(64), primary_key=True),
    Column("allocation", String(48), nullable=False),
)
"""A row a device that is promised: its key makes a double promise impossible, whatever the code does."""
Index("granted_devices_allocation", granted_devices.c.allocation)

ledgers = Table(
    "ledgers",
    METADATA,
    Column("name", String(40), primary_key=True),
    Column("number", Integer, nullable=False),
)
"""One row a queue. Whoever plans counts it up first, so that only one plans at a time; the count numbers requests."""

nodes_table = Table(
    "nodes",
    METADATA,
    Column("name", String(255), primary_key=True),
    Column("cluster", String(255), nullable=False),
    Column("mark", String(16), nullable=False),
    Column("doc", Json, nullable=False),
)
"""A row a node that is known: as the inventory showed it last, and what administrators said of it."""

specs_table = Table(
    "resource_specs",
    METADATA,
    Column("name", String(40), primary_key=True),
    Column("cluster", String(255), primary_key=True),
    Column("updated_by", String(48), nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("doc", Json, nullable=False),
)
"""What administrators say that a named spec means, on one cluster, or (where that is empty) on every one."""

jobs: Aggregates[Job] = Aggregates(
    "job",
    jobs_table,
    Job,
    columns=lambda job: {
        "purpose": job.terms.algorithm.purpose,
        "algorithm_id": job.terms.algorithm.id,
        "dataset_id": job.terms.dataset.id,
        "deleted": job.deleted,
    },
)

models: Aggregates[Model] = Aggregates(
    "model",
    models_table,
    Model,
    shared=lambda model: model.shared,
    columns=lambda model: {
        "purpose": model.purpose,
        "job_id": model.lineage.job_id,
        "deleted": model.state == ModelState.DELETED,
    },
)

allocations: Aggregates[Allocation] = Aggregates(
    "allocation",
    allocations_table,
    Allocation,
    columns=lambda allocation: {"number": allocation.number, "kind": allocation.kind},
)


async def job_in(uow: UnitOfWork, job_id: str) -> Job:
    """The job as this transaction has it. Raises NotFound (`job_not_found`)."""
    known: Job | None = uow.memo.get(("job", job_id))
    if known is None:
        known = uow.memo["job", job_id] = await jobs.get(uow.connection, job_id)
    return known


async def add_job(uow: UnitOfWork, job: Job) -> Job:
    """Store a new job."""
    await jobs.add(uow.connection, job)
    uow.memo["job", job.id] = job
    return job


async def save_job(uow: UnitOfWork, job: Job) -> Job:
    """Store a changed job. Raises Conflict (`stale`)."""
    saved = await jobs.save(uow.connection, job, now=uow.clock.now())
    uow.memo["job", job.id] = saved
    return saved
