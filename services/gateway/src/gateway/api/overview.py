"""Aggregated views."""

from __future__ import annotations

from fastapi import APIRouter

from common.web.access import Permission, permits
from common.web.identity import Caller
from gateway.context import Ctx
from gateway.schemas import JobOverview, Overview
from gateway.usecases import overview as views

router = APIRouter(tags=["overview"])


@router.get("/overview", **permits(Permission.USER))
async def overview(who: Caller, context: Ctx) -> Overview:
    """Counts by state of all that the caller may see, and the use of the nodes."""
    return await views.overview(context, who)


@router.get("/overview/jobs/{job_id}", **permits(Permission.SEE))
async def job_overview(job_id: str, who: Caller, context: Ctx) -> JobOverview:
    """A job with its dataset, algorithm, model and services."""
    return await views.job_overview(context, who, job_id)
