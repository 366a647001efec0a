"""HTTP in and out of dataset-svc, nothing else."""

from fastapi import APIRouter

from dataset_svc.api import (
    contents,
    datasets,
    details,
    formatted,
    history,
    imports,
    sources,
    thumbnails,
    tus,
    uploads,
    versions,
)

routers: tuple[APIRouter, ...] = tuple(
    room.router
    for room in (datasets, uploads, tus, imports, history, versions, details, contents, thumbnails, formatted, sources)
)

__all__ = ["routers"]
