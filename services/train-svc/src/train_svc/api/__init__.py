"""HTTP in and out, nothing else."""

from __future__ import annotations

from train_svc.api import capacity, curves, jobs, logs, models, results

ROUTERS = (
    logs.router,
    curves.router,
    results.router,
    jobs.router,
    models.router,
    capacity.router,
)
"""Every router; the more particular paths come first."""
