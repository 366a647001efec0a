"""HTTP in and out of dataset-svc, nothing else."""

from fastapi import APIRouter

from dataset_svc.api import contents, datasets, details, formatted, imports, sources, tus, uploads

routers: tuple[APIRouter, ...] = tuple(
    room.router for room in (datasets, uploads, tus, imports, details, contents, formatted, sources)
)

__all__ = ["routers"]
