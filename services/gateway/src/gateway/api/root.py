"""What is at the address itself: a pointer, and whether the gateway is well."""

from __future__ import annotations

from fastapi import APIRouter

from common.web.access import Permission, permits
from gateway.context import Ctx

router = APIRouter(tags=["platform"])


@router.get("/", **permits(Permission.ANYONE))
async def what_is_this() -> dict[str, str]:
    """What this is and where to go on."""
    return {
        "name": "Modelyard",
        "what": "datasets, algorithms, training jobs, models and inference services",
        "api": "/api/v1",
        "openapi": "/api/v1/openapi.json",
        "login": "POST /api/v1/login",
        "serve": "/serve/{service}/",
        "health": "/healthz",
    }


@router.get("/healthz", **permits(Permission.ANYONE))
async def is_alive() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "ok"}


@router.get("/readyz", **permits(Permission.ANYONE))
async def is_ready(context: Ctx) -> dict[str, str]:
    """Whether it can do its work: the database answers."""
    await context.kit.store.database.ping()
    return {"status": "ok"}
