"""One OpenAPI document of the whole platform."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from common.web.access import Permission, permits
from gateway.context import Ctx
from gateway.usecases.document import whole_document

router = APIRouter(tags=["platform"])


@router.get("/openapi.json", include_in_schema=False, **permits(Permission.ANYONE))
async def openapi(request: Request, context: Ctx) -> dict[str, Any]:
    """Every route of every service that answers now, with its permission as `x-permission`."""
    return await whole_document(context, request.app.openapi())
