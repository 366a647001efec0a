"""HTTP in and out of dataset-svc, nothing else."""

from fastapi import APIRouter

from dataset_svc.api import contents, datasets, formatted, imports, tus, uploads

routers: tuple[APIRouter, ...] = tuple(room.router for room in (datasets, uploads, tus, imports, contents, formatted))

__all__ = ["routers"]
