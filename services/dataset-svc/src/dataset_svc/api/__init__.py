"""HTTP in and out of dataset-svc, nothing else."""

from fastapi import APIRouter

from dataset_svc.api import contents, datasets, formatted, imports, uploads

routers: tuple[APIRouter, ...] = (datasets.router, uploads.router, imports.router, contents.router, formatted.router)

__all__ = ["routers"]
