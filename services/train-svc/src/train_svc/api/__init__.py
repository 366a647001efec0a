"""HTTP in and out, nothing else."""

from __future__ import annotations

from train_svc.api import allocations, curves, jobs, logs, models, nodes, queues, results, specs, uses

ROUTERS = (
    logs.router,
    curves.router,
    results.router,
    jobs.router,
    models.router,
    allocations.router,
    nodes.router,
    queues.router,
    specs.router,
    uses.router,
)
"""Every router; the more particular paths come first."""
