"""The tables of notebook-svc and its repositories."""

from __future__ import annotations

from sqlalchemy import Column, MetaData, String

from common.db.aggregates import Aggregates, aggregate_table
from notebook_svc.domain.environment import Environment

METADATA = MetaData()

environments = aggregate_table(
    "environments",
    METADATA,
    Column("framework", String(40), nullable=False),
    Column("device", String(8), nullable=False),
    Column("visibility", String(16), nullable=False),
)

ENVIRONMENTS = Aggregates(
    "environment",
    environments,
    Environment,
    shared=lambda item: item.shared,
    columns=lambda item: {
        "framework": item.framework,
        "device": item.device,
        "visibility": str(item.visibility),
    },
)
