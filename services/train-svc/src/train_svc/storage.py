"""The tables of train-svc and the repositories over them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    or_,
)

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
    Column("formatted_set_id", String(48)),
    Column("validation_dataset_id", String(48)),
    Column("validation_set_id", String(48)),
    Column("deleted", Boolean, nullable=False),
)
for _name in ("formatted_set_id", "validation_dataset_id", "validation_set_id"):
    _named = jobs_table.c[_name].is_not(None)
    Index(f"ix_jobs_{_name}", jobs_table.c[_name], postgresql_where=_named, sqlite_where=_named)

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
    Column("queue", String(64), nullable=False, index=True, server_default="default"),
    Column("confirmed_at", Instant),
)
"""`confirmed_at` is when its owner last told that it knows of it; no version counts it."""

granted_devices = Table(
    "granted_devices",
    METADATA,
    Column("node", String(255), primary_key=True),
    Column("device", String(64), primary_key=True),
    Column("allocation", String(48), nullable=False),
)
"""A row a device that is promised: its key makes a double promise impossible, whatever the code does."""
Index("granted_devices_allocation", granted_devices.c.allocation)

node_usage = Table(
    "node_usage",
    METADATA,
    Column("node", String(255), primary_key=True),
    Column("cpu", BigInteger, nullable=False),
    Column("cpu_limit", BigInteger, nullable=False),
    Column("memory", BigInteger, nullable=False),
    Column("memory_limit", BigInteger, nullable=False),
    CheckConstraint("cpu >= 0 AND cpu <= cpu_limit", name="node_usage_cpu"),
    CheckConstraint("memory >= 0 AND memory <= memory_limit", name="node_usage_memory"),
)
"""What of each node is promised: CPU in millicores, memory in bytes. The limits are what could be promised when
something last was; the checks make it impossible to promise more, whatever the code does."""

queues_table = Table(
    "queues",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("updated_at", Instant, nullable=False),
    Column("doc", Json, nullable=False),
)
"""The queues that administrators made. The default queue is there without a row as well."""

ledgers = Table(
    "ledgers",
    METADATA,
    Column("name", String(40), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("holder", String(80), nullable=False, server_default=""),
    Column("epoch", Integer, nullable=False, server_default="0"),
    Column("mark", String(40), nullable=False, server_default=""),
    Column("previous", String(40), nullable=False, server_default=""),
)
"""One row a ledger. Whoever plans counts up its `number` first, so that only one plans at a time; the count numbers
requests. `holder` is the instance that planned last, `epoch` counts its successions; `mark` names the transaction that
planned last and `previous` the one before it: who has the state of `previous` in memory may go on from there."""


def _job_columns(job: Job) -> dict[str, Any]:
    return {
        "purpose": job.terms.algorithm.purpose,
        "algorithm_id": job.terms.algorithm.id,
        **job.terms.uses,
        "deleted": job.deleted,
    }


def uses_dataset(dataset_id: str) -> ColumnElement[bool]:
    """Which jobs train or validate on a dataset, or on a set of it."""
    return or_(jobs_table.c.dataset_id == dataset_id, jobs_table.c.validation_dataset_id == dataset_id)


def uses_set(set_id: str) -> ColumnElement[bool]:
    """Which jobs train or validate on a formatted set."""
    return or_(jobs_table.c.formatted_set_id == set_id, jobs_table.c.validation_set_id == set_id)


jobs: Aggregates[Job] = Aggregates(
    "job",
    jobs_table,
    Job,
    columns=_job_columns,
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
    columns=lambda allocation: {"number": allocation.number, "kind": allocation.kind, "queue": allocation.queue},
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
